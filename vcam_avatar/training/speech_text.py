"""Sentences to synthesise, written for this project, and their Kokoro phoneme strings.

English goes through the ``hibari`` package, Mandarin and Japanese through small tables below, the rest
through the ``espeak-ng`` program. All are needed only to make training speech.
"""

import functools
import re
import subprocess

SENTENCES: dict[str, tuple[str, ...]] = {
    "es": (
        "Mañana por la mañana vamos a bajar al mercado para comprar fruta y pan.",
        "Mi padre vive en un pueblo pequeño, muy lejos de la ciudad.",
        "¿Puedes abrir la puerta, por favor? Hace mucho calor aquí dentro.",
        "El jueves empieza un nuevo curso de fotografía para principiantes.",
        "No me importa lo que digan, yo prefiero caminar bajo la lluvia.",
        "Buenas tardes a todos, bienvenidos al programa de hoy.",
        "La música sonaba tan fuerte que nadie oyó el teléfono.",
        "Un millón de abejas volaban sobre el campo amarillo.",
        "Pon la mesa, que la comida está casi lista.",
        "Su hermano menor juega al ajedrez mejor que nosotros.",
    ),
    "fr-fr": (
        "Bonjour à tous et bienvenue dans cette nouvelle vidéo.",
        "Demain matin nous partons en voiture vers la mer.",
        "Je voudrais un peu plus de pain, s'il vous plaît.",
        "Le petit chat blanc dort au bord de la fenêtre.",
        "Pourquoi faut-il toujours attendre aussi longtemps ?",
        "Ma sœur joue du piano depuis l'âge de neuf ans.",
        "On a vu passer un bateau bleu sous le vieux pont.",
        "Il fait beau, profitons-en pour marcher un peu dehors.",
        "Personne ne m'a prévenu que le train était supprimé.",
        "Voilà une bonne idée, mais combien est-ce que ça coûte ?",
    ),
    "hi": (
        "नमस्ते दोस्तों, आज हम एक नई जगह घूमने जा रहे हैं।",
        "मुझे सुबह की चाय और अख़बार बहुत पसंद है।",
        "क्या आप मेरी थोड़ी मदद कर सकते हैं?",
        "बच्चे मैदान में फुटबॉल खेल रहे थे।",
        "बारिश के बाद आसमान में इंद्रधनुष दिखाई दिया।",
        "मेरे पिताजी पुराने फ़िल्मी गाने सुनते हैं।",
        "यह किताब मैंने पिछले महीने खरीदी थी।",
        "हमें समय पर स्टेशन पहुँचना होगा।",
    ),
    "it": (
        "Buongiorno a tutti, oggi parliamo di come si prepara un buon caffè.",
        "Domani mattina partiamo presto per andare al mare.",
        "Mi piace molto camminare da solo lungo il fiume.",
        "Puoi chiudere la finestra, per favore? Fa un po' freddo.",
        "Il treno delle nove è arrivato con venti minuti di ritardo.",
        "Mia nonna abitava in una piccola casa vicino al bosco.",
        "Quando piove, i bambini giocano volentieri in cucina.",
        "Abbiamo bisogno di più tempo per finire questo lavoro.",
        "La settimana prossima comincia la nuova stagione del teatro.",
        "Perché non vieni anche tu a vedere la partita?",
    ),
    "pt-br": (
        "Bom dia a todos, sejam muito bem-vindos ao nosso canal.",
        "Amanhã de manhã vamos à praia com a família inteira.",
        "Você pode me passar o pão e a manteiga, por favor?",
        "O menino perdeu o boné azul no meio do caminho.",
        "Faz muito tempo que eu não ouvia essa música.",
        "Minha irmã mora num prédio velho perto do parque.",
        "Não sei por que ele ficou tão bravo comigo.",
        "Chove muito aqui entre dezembro e fevereiro.",
    ),
    "ja": (
        "ohayoo gozaimasu, kyoo wa totemo ii tenki desu ne.",
        "watashi no namae wa tanaka desu, doozo yoroshiku onegai shimasu.",
        "ashita no asa, hayaku okite umi made aruite ikimasu.",
        "sumimasen, eki wa doko desu ka, mada tooi desu ka.",
        "kono mise no pan wa yawarakakute, totemo oishii desu.",
        "imooto wa piano o hiku no ga suki de, mainichi renshuu shite imasu.",
        "fuyu ni naru to, yama no ue ni yuki ga tsumorimasu.",
        "minasan, kyoo mo bangumi o mite kurete arigatoo gozaimashita.",
        "boku wa mada nani mo tabete inai node, onaka ga sukimashita.",
        "moshi yokattara, issho ni eiga o mi ni ikimasen ka.",
    ),
    "cmn": (
        "da4 jia1 hao3, huan1 ying2 lai2 dao4 wo3 de5 zhi2 bo1 jian1.",
        "ming2 tian1 zao3 shang5 wo3 men5 yi1 qi3 qu4 gong1 yuan2 pao3 bu4.",
        "ma1 ma5 mai3 le5 yi1 da4 bao1 ping2 guo3 he2 mian4 bao1.",
        "qing3 wen4, qu4 huo3 che1 zhan4 zen3 me5 zou3?",
        "zhe4 ben3 shu1 fei1 chang2 you3 yi4 si5, ni3 ye3 ying1 gai1 kan4 kan5.",
        "wo3 de5 peng2 you5 zai4 bei3 jing1 de5 yi1 jia1 yin2 hang2 gong1 zuo4.",
        "jin1 tian1 wan3 shang5 de5 yue4 liang5 te4 bie2 da4, te4 bie2 liang4.",
        "xia4 yu3 le5, bie2 wang4 ji4 dai4 yu3 san3 chu1 men2.",
        "ta1 mei2 you3 shuo1 wei4 shen2 me5 bu4 gao1 xing4.",
        "fu4 mu3 dou1 xi1 wang4 hai2 zi5 kuai4 kuai4 le4 le4 de5 zhang3 da4.",
        "bang1 wo3 ba3 men2 guan1 shang5, wai4 mian4 feng1 tai4 da4 le5.",
        "zhong1 wu3 wo3 xiang3 chi1 mi3 fan4, hai2 yao4 yi1 wan3 tang1.",
    ),
    "en-us": (
        "Bob and Pam brought a big brown box of apple pies to the bus.",
        "Good evening everybody, welcome back to the stream.",
        "Let me move my microphone a little bit before we begin.",
        "Did you see what happened at the very end of the game?",
        "Five wolves were very thirsty after the long walk through the valley.",
        "My mother bought me a pair of blue pajamas for my birthday.",
        "Whoever wrote this must have been in a terrible hurry.",
        "Please subscribe if you enjoyed the video, and thanks for watching.",
        "We could probably push the meeting back until Wednesday.",
        "Oh wow, I did not expect you to show up so early.",
        "Choose a shoe size, pay for it, and put the change in your pocket.",
        "The judge chewed his lip and shook his head with a smile.",
        "Maybe both of them believed that the boy was lying.",
        "You should zoom out a bit so that people can follow the map.",
        "Five, four, three, two, one, go!",
        "Um, I mean, it's basically the same problem as before.",
        "Look at those huge waves rolling over the pier.",
        "Nothing beats a warm cup of mint tea on a rainy afternoon.",
        "Thirty-three thousand people filled the stadium on Thursday.",
        "Move up, move up, we're going to be late for the premiere!",
    ),
}
"""Language (espeak name) -> sentences; Japanese in romaji, Mandarin in numbered pinyin."""

_TIES = {
    "a^ɪ": "I", "a^ʊ": "W", "d^z": "ʣ", "d^ʒ": "ʤ", "e^ɪ": "A", "o^ʊ": "O", "ə^ʊ": "Q",
    "t^s": "ʦ", "t^ʃ": "ʧ", "ɔ^ɪ": "Y",
}  # fmt: skip

_KANA = {
    "sh": "ɕ", "ch": "ʨ", "ts": "ʦ", "j": "ʥ", "y": "j", "f": "ɸ", "r": "ɾ", "g": "ɡ", "u": "ɨ",
    "h": "h", "w": "β",
}  # fmt: skip

_INITIALS = {
    "zh": "ꭧ", "ch": "ꭧʰ", "sh": "ʂ", "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ",
    "n": "n", "l": "l", "g": "k", "k": "kʰ", "h": "x", "j": "ʨ", "q": "ʨʰ", "x": "ɕ", "z": "ʦ",
    "c": "ʦʰ", "s": "s", "r": "ɻ",
}  # fmt: skip
_FINALS = {
    "a": "a", "o": "wo", "e": "ɤ", "i": "i", "u": "u", "v": "y", "ai": "ai", "ei": "ei", "ao": "au",
    "ou": "ou", "an": "an", "en": "ən", "ang": "aŋ", "eng": "əŋ", "ong": "ʊŋ", "er": "ɚ", "ia": "ja",
    "ie": "je", "iao": "jau", "iu": "jou", "ian": "jɛn", "in": "in", "iang": "jaŋ", "ing": "iŋ",
    "iong": "jʊŋ", "ua": "wa", "uo": "wo", "uai": "wai", "ui": "wei", "uan": "wan", "un": "wən",
    "uang": "waŋ", "ueng": "wəŋ", "ve": "ɥe", "van": "ɥɛn", "vn": "yn", "ue": "ɥe",
}  # fmt: skip
_TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}


def _pinyin(syllable: str) -> str:
    letters, tone = syllable[:-1], syllable[-1]
    if letters[0] == "y":
        letters = {"yu": "v", "yue": "ve", "yuan": "van", "yun": "vn", "you": "iu", "yi": "i", "yin": "in",
                   "ying": "ing"}.get(letters, "i" + letters[1:])  # fmt: skip
    elif letters[0] == "w":
        letters = {"wu": "u", "wei": "ui", "wen": "un", "weng": "ueng"}.get(letters, "u" + letters[1:])
    initial = next((i for i in _INITIALS if letters.startswith(i)), "")
    final = letters[len(initial) :]
    if initial in ("j", "q", "x") and final.startswith("u"):
        final = "v" + final[1:]
    if final == "i" and initial in ("zh", "ch", "sh", "r", "z", "c", "s"):
        return _INITIALS[initial] + "ɨ" + _TONES[tone]
    return _INITIALS.get(initial, "") + _FINALS[final] + _TONES[tone]


def _replace(text: str, table: dict[str, str]) -> str:
    pattern = "|".join(sorted(map(re.escape, table), key=len, reverse=True))
    return re.sub(pattern, lambda m: table[m.group()], text)


@functools.cache
def _english(british: bool) -> object:
    from hibari.g2p import G2P

    return G2P(british=british)


def phonemes(text: str, language: str) -> str:
    """Kokoro phoneme string of ``text``.

    Args:
        text: a sentence; romaji for ``ja``, numbered pinyin for ``cmn``.
        language: a key of ``SENTENCES`` or ``en-gb``.

    Raises:
        OSError: espeak-ng is not installed.
        subprocess.CalledProcessError: espeak-ng refused the text.
    """
    if language.startswith("en"):
        return str(_english(language == "en-gb")(text))  # type: ignore[operator]
    if language == "ja":
        return _replace(text.replace("nn", "ɴn"), _KANA)
    if language == "cmn":
        return re.sub(r"[a-z]+[1-5]", lambda m: _pinyin(m.group()), text)
    done = subprocess.run(
        ["espeak-ng", "-q", "--ipa=1", "--tie=^", "-v", language, text],
        capture_output=True,
        text=True,
        check=True,
    )
    ipa = re.sub(r"\([a-z-]+\)", "", " ".join(done.stdout.split()))
    end = text.strip()[-1]
    return _replace(ipa, _TIES).replace("^", "").replace("r", "ɾ" if language == "hi" else "r") + (
        end if end in ".?!" else "."
    )
