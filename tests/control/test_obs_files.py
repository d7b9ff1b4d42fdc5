"""OBS's own files: found, read, and edited without harm."""

import json
import stat

import pytest

from vcam_avatar.cli.main import main
from vcam_avatar.control.obs import files, install
from vcam_avatar.errors import ControlError

GLOBAL_INI = """\
\ufeff[General]
FirstRun=true

[OBSWebSocket]
ServerEnabled=false
ServerPort=4460
AuthRequired=true
ServerPassword=from-ini-77

[Basic]
SceneCollection=My Stream
SceneCollectionFile=My_Stream
"""
COLLECTION = {
    "name": "My Stream",
    "sources": [{"name": "Ünïcode", "volume": 0.1}],
    "modules": {"scripts-tool": [{"path": "/other/clock.lua", "settings": {"x": 1}}]},
}


@pytest.fixture
def obs(tmp_path, monkeypatch):
    """OBS's configuration folder, up to version 30."""
    folder = tmp_path / "config/obs-studio"
    (folder / "basic/scenes").mkdir(parents=True)
    (folder / "global.ini").write_text(GLOBAL_INI, encoding="utf-8")
    (folder / "basic/scenes/My_Stream.json").write_text(json.dumps(COLLECTION), encoding="utf-8")
    (folder / "basic/scenes/Other.json").write_text('{"name": "Other"}')
    (folder / "basic/scenes/Broken.json").write_text("{")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("VCAM_AVATAR_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv(files.FOLDER_VARIABLE, str(folder))
    monkeypatch.delenv(files.PASSWORD_VARIABLE, raising=False)
    monkeypatch.setattr(install, "obs_is_running", lambda: False)
    return folder


def newer_layout(folder, **changes):
    file = folder / "plugin_config/obs-websocket/config.json"
    file.parent.mkdir(parents=True)
    content = {
        "server_enabled": True,
        "server_port": 4470,
        "server_password": "from-json-88",
        "auth_required": True,
    }
    file.write_text(json.dumps({**content, **changes}))
    return file


def test_the_address_comes_from_obs_own_files(obs):
    address = files.find_address()
    assert (address.port, address.password.get_secret_value()) == (4460, "from-ini-77")
    newer_layout(obs)
    address = files.find_address()
    assert (address.port, address.password.get_secret_value()) == (4470, "from-json-88")
    assert "from-json-88" not in repr(address)


def test_the_environment_wins_and_other_hosts_get_no_local_password(obs, monkeypatch):
    assert files.find_address("10.0.0.5").password is None
    monkeypatch.setenv(files.PASSWORD_VARIABLE, "from-env-99")
    assert files.find_address("10.0.0.5", 4455).password.get_secret_value() == "from-env-99"


def test_an_obs_without_password_needs_none(obs):
    newer_layout(obs, auth_required=False)
    assert files.find_address().password is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"server_port": "x"}'])
def test_damaged_files_fall_back(obs, content):
    newer_layout(obs).write_text(content)
    assert files.find_address().port == 4460
    (obs / "global.ini").write_text("[OBSWebSocket\nServerPort")
    assert files.find_address().port == files.DEFAULT_PORT


def test_collections_are_read_and_broken_ones_left_out(obs):
    assert [c.name for c in files.collections(obs)] == ["My Stream", "Other"]
    assert files.current_collection_name(obs) == "My_Stream"
    (obs / "user.ini").write_text("[Basic]\nSceneCollectionFile=Other.json\n")
    assert files.current_collection_name(obs) == "Other"


def test_the_script_is_added_once_with_a_backup_and_the_rest_untouched(obs, tmp_path):
    file = obs / "basic/scenes/My_Stream.json"
    before = file.read_bytes()
    script = tmp_path / "avatar_cam.lua"
    assert install.add_to_collection(file, script)
    assert not install.add_to_collection(file, script)
    after = json.loads(file.read_text(encoding="utf-8"))
    scripts = after["modules"].pop("scripts-tool")
    assert scripts == [COLLECTION["modules"]["scripts-tool"][0], {"path": script.as_posix(), "settings": {}}]
    assert after["sources"] == COLLECTION["sources"]
    (backup,) = file.parent.glob("*.before-avatar-cam-*")
    assert backup.read_bytes() == before


def test_a_moved_script_keeps_its_keys_and_doubles_go(obs, tmp_path):
    file = obs / "basic/scenes/Other.json"
    keys = {"avatar_cam.next": [{"key": "OBS_KEY_F9"}], "avatar_cam.idle": []}
    entries = [
        {"path": "C:\\old\\avatar_cam.lua", "settings": keys},
        {"path": "/x/avatar_cam.lua", "settings": {}},
    ]
    file.write_text(json.dumps({"name": "Other", "modules": {"scripts-tool": entries}}))
    install.add_to_collection(file, tmp_path / "avatar_cam.lua")
    (entry,) = json.loads(file.read_text())["modules"]["scripts-tool"]
    assert entry == {"path": (tmp_path / "avatar_cam.lua").as_posix(), "settings": keys}
    other = next(c for c in files.collections(obs) if c.name == "Other")
    assert other.bound == ("avatar_cam.next",)
    assert install.remove_from_collection(file)
    assert json.loads(file.read_text())["modules"]["scripts-tool"] == []


def test_a_damaged_collection_is_refused_and_left(obs, tmp_path):
    broken = obs / "basic/scenes/Broken.json"
    with pytest.raises(ControlError, match="cannot read"):
        install.add_to_collection(broken, tmp_path / "avatar_cam.lua")
    assert broken.read_text() == "{"


def test_the_websocket_is_switched_on_keeping_password_and_everything_else(obs):
    assert install.enable_websocket(obs)
    assert not install.enable_websocket(obs)
    found = files.websocket_settings(obs)
    assert found.enabled
    assert found.password.get_secret_value() == "from-ini-77"
    text = (obs / "global.ini").read_text()
    assert text.replace("FirstLoad=false\n", "") == GLOBAL_INI.lstrip("\ufeff").replace(
        "ServerEnabled=false", "ServerEnabled=true"
    )


def test_a_missing_password_is_made_up(obs):
    (obs / "global.ini").write_text("[General]\nFirstRun=true\n")
    assert install.enable_websocket(obs)
    first = files.websocket_settings(obs).password.get_secret_value()
    assert len(first) >= 12
    file = newer_layout(obs, server_password="", server_enabled=False)
    file.chmod(0o600)
    assert install.enable_websocket(obs)
    assert files.websocket_settings(obs).enabled
    assert files.websocket_settings(obs).password.get_secret_value() not in ("", first)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_names_are_written_only_where_the_script_is(tmp_path):
    folder = tmp_path / "obs"
    install.put_names(["Bob"], folder)
    assert not folder.exists()
    install.put_script(folder)
    install.put_names(["Bob", "two\nlines", *map(str, range(20))], folder)
    lines = (folder / install.NAMES_FILE).read_text().splitlines()
    assert lines[:2] == ["Bob", "two lines"]
    assert len(lines) == install.HOTKEY_SLOTS


def test_the_installed_script_is_the_packaged_one(tmp_path):
    script = install.put_script(tmp_path)
    assert "obs_hotkey_register_frontend" in script.read_text()
    script.write_text("old")
    assert "obs_hotkey_register_frontend" in install.put_script(tmp_path).read_text()


def test_install_edits_a_closed_obs(obs, capsys):
    assert main(["obs", "install"]) == 0
    out = capsys.readouterr().out
    assert "scene collection 'My Stream': script added" in out
    assert "'Other'" not in out
    assert "websocket server: switched on" in out
    assert main(["obs", "install", "--all-collections"]) == 0
    assert "scene collection 'Other': script added" in capsys.readouterr().out
    assert main(["obs", "uninstall"]) == 0
    assert all(c.script is None for c in files.collections(obs))


def test_a_running_obs_is_left_alone_and_the_clicks_are_said(obs, capsys, monkeypatch):
    monkeypatch.setattr(install, "obs_is_running", lambda: True)
    before = {f: f.read_bytes() for f in obs.rglob("*") if f.is_file()}
    assert main(["obs", "install"]) == 0
    out = capsys.readouterr().out
    assert "Tools > Scripts" in out
    assert "avatar_cam.lua" in out
    assert {f: f.read_bytes() for f in obs.rglob("*") if f.is_file()} == before
    assert main(["obs", "uninstall"]) == ControlError.exit_code


def test_status_says_what_is_missing_and_no_password(obs, capsys):
    assert main(["obs", "status"]) == 1
    out = capsys.readouterr().out
    assert "websocket server: off" in out
    assert "no script; run `vcam-avatar obs install`" in out
    main(["obs", "install"])
    main(["obs", "status"])
    main(["obs", "status", "--json"])
    out = capsys.readouterr().out
    assert "on, port 4460, password set" in out
    assert "from-ini-77" not in out


@pytest.mark.parametrize(
    ("names", "running"), [(["bash", "obs"], True), (["OBS64.exe"], True), (["obsidian"], False)]
)
def test_a_running_obs_is_recognised(names, running):
    assert install.obs_is_running(lambda: names) is running


def test_when_processes_cannot_be_listed_obs_might_run():
    def fail():
        raise OSError

    assert install.obs_is_running(fail)
