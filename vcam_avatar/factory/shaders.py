# ruff: noqa: E501
"""GLSL of the deferred renderer.

The first pass keeps, per sample, normal + material, canonical position, four extra values and the
texture colour, and throws away what is cut off (sleeves, hair length, covered skin). The second pass
colours every sample once. All patterns are functions of the canonical position, so they ride on the body.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

SKIN, TIGHTS = 0, 6
"""Materials of which the back is never drawn; the garment's only below ``TWO_SIDED_FROM``."""
TWO_SIDED_FROM = 5.0
"""Canonical height in dm from which on one sees into the garment's collar."""
SLEEVE_INSIDE = 0.35
"""How deep one sees into a sleeve, in arm parameter."""
GROUPS = 4
"""Groups of materials that are coloured by one program: skin, hair, cloth, the rest."""
_BY_MATERIAL = (1, 4, 4, 4, 4, 2, 3, 4, 3, 4, 3, 4, 4)
GROUP_OF = np.zeros(256, np.uint8)
"""Group by the number in the geometry buffer: material + 1, and 20 more on contour lines."""
GROUP_OF[1 : len(_BY_MATERIAL) + 1] = _BY_MATERIAL
GROUP_OF[21 : len(_BY_MATERIAL) + 21] = _BY_MATERIAL

VERTEX = """#version 330
uniform mat4 MVP; uniform mat4 SMVP; uniform float outline; uniform float aspect;
in vec3 pos; in vec3 nrm; in vec3 src; in vec3 can; in vec4 ext; in float mat; in vec2 uv;
out vec3 vn; out vec3 vc; out vec4 ve; flat out float vm; out vec3 vp; out vec2 vt; out vec4 vs;
void main(){
  vs=SMVP*vec4(src,1); vn=nrm; vc=can; ve=ext; vm=mat; vp=pos; vt=uv;
  vec4 c=MVP*vec4(pos,1);
  if(outline>0.){
    vec4 c2=MVP*vec4(pos+nrm*.05,1); vec2 d=c2.xy/c2.w-c.xy/c.w; d.x*=aspect; float l=length(d); float w=outline;
    int m=int(mat+.5);
    if(m==1||m==2||m==3||m==7||m==12) w=0.;
    if(m==4) w*=.4;
    d=l>1e-6? d/l*w: vec2(0); d.x/=aspect; c.xy+=d*c.w; c.z+=.0006*c.w;
  }
  gl_Position=c;
}"""

UNIFORMS = """
uniform vec3 eyepos; uniform vec3 L; uniform float toon; uniform vec3 amb; uniform vec3 lcol; uniform float paint;
uniform vec3 skin; uniform vec3 lip; uniform vec3 browc; uniform vec3 blush; uniform float blushA;
uniform vec3 iris; uniform vec3 hairc; uniform vec3 hairh; uniform vec3 g1; uniform vec3 g2; uniform vec3 g3;
uniform vec3 acc; uniform vec3 acc2; uniform vec3 pants; uniform float hem; uniform vec3 nail;
uniform int garment; uniform int pattern; uniform float sleeve; uniform float irisR;
uniform vec3 gazeL; uniform vec3 gazeR;
uniform float browT; uniform float browA; uniform float browY; uniform float stubble; uniform float beard;
uniform float fringe; uniform float hairlen; uniform int hairmode; uniform int window; uniform float seed;
uniform float shadowneck; uniform float teethdark; uniform float freck; uniform float fold; uniform float bodycut;
uniform int skintex; uniform int hairtex; uniform int clothtex; uniform float texgain; uniform float liner;
uniform float lipgloss; uniform float rimlight; uniform float makeup; uniform vec3 fillc; uniform float ink;
float h1(vec2 p){ vec3 q=fract(vec3(p.xyx)*.1031+seed*.0713); q+=dot(q,q.yzx+33.33); return fract((q.x+q.y)*q.z); }
float vnoise(vec2 p){ vec2 i=floor(p),f=fract(p); f=f*f*(3.-2.*f);
  return mix(mix(h1(i),h1(i+vec2(1,0)),f.x),mix(h1(i+vec2(0,1)),h1(i+vec2(1,1)),f.x),f.y); }
float fbm(vec2 p){ return .5*vnoise(p)+.3*vnoise(p*2.1+7.)+.2*vnoise(p*4.3+3.); }
float seg(vec2 p,vec2 a,vec2 b,out float t){ vec2 d=b-a; t=clamp(dot(p-a,d)/dot(d,d),0.,1.); return length(p-a-d*t); }
// signed garment coordinate: above 0 inside the garment
float garm(vec3 c,float arm){
  float ax=abs(c.x); float r=length(vec3(c.x,(c.y-5.95)*.75,(c.z-.12)*.95)); float n;
  if(garment==1) n=r-.92;
  else if(garment==2){ float vee=c.y-(4.55+1.75*ax); float open=(c.z<=0.||ax>.75||vee<0.)? 9.:-vee*.5; n=min(r-.86,open); }
  else if(garment==3) n=(6.02-.05*c.z)-c.y;
  else if(garment==4) n=r-.86;
  else if(garment==5) n=r-.80;
  else n=r-.92;
  n=min(n,(garment==3?6.03:6.0)-c.y);
  return min(n,(sleeve-arm)*2.); }
float lips(vec3 c){
  float ax=abs(c.x)/.235; if(ax>1.||c.z<1.15) return 0.;
  float k=sqrt(max(0.,1.-ax*ax)); float my=6.628-.010*ax;
  float up=my+.088*pow(1.-ax,.55)*(1.-.16*exp(-pow(ax/.16,2.))); float lo=my-.118*k; float d=min(up-c.y,c.y-lo);
  return smoothstep(-.004,.014,d); }
// hair that would hide the face
bool inface(vec3 c){
  if(c.z<.25) return false;
  vec2 q=vec2(c.x/.70,(c.y-6.86)/.74); float a=atan(q.x,q.y);
  float w=.035*sin(a*9.+seed)+.03*sin(a*23.+seed*3.);
  return length(q)<1.+w; }
"""

_GEOMETRY = (
    """#version 330
#define GROUP %d
in vec3 vn; in vec3 vc; in vec4 ve; flat in float vm; in vec3 vp; in vec2 vt; in vec4 vs;
layout(location=0) out vec4 a; layout(location=1) out vec4 b; layout(location=2) out vec4 e;
layout(location=3) out vec4 tx; layout(location=4) out vec4 fl;
uniform int isline; uniform vec3 armcut; uniform sampler2D sskin; uniform sampler2D shair; uniform sampler2D scloth;
"""
    + UNIFORMS
    + """
void main(){
  int m=int(vm+.5); vec3 c=vc; vec4 t=vec4(0);
  // layers: only what lies between armcut.x and armcut.y along the arms, of the side with sign armcut.z
  bool limb=m==0||m==6||m==8;
  if(limb? (ve.y<armcut.x||ve.y>armcut.y||armcut.z*c.x<0.): armcut.x>0.) discard;
  if(isline==0&&m==0&&!gl_FrontFacing) discard;
  if(isline==0&&m==6&&!gl_FrontFacing&&c.y<5.&&ve.y<sleeve-.35) discard;
#if GROUP==1
  if(garment>0&&garm(c,ve.y)>(isline==1? 0.: ve.y>.3? .4: garment==2? .5: .2)) discard;
#elif GROUP==3
  if(m==6&&garm(c,ve.y)<(isline==1&&ve.y>.3? .09: 0.)) discard;
#elif GROUP==4
  if(m==4&&ve.x>.5) discard;
#endif
  if(isline==1&&(m==1||m==2||m==3||m==7||m==12)) discard;
#if GROUP==2
  if(hairmode==1){
    float ang=atan(c.x,c.z); float lk=abs(fract(ang*2.6+.13*vnoise(vec2(ang*3.,1.)))-.5)*2.;
    float f=fringe-.05*lk-.35*smoothstep(.35,1.1,abs(ang));
    float y0=mix(hairlen-.12*lk,f,max(smoothstep(1.02,.99,abs(ang)),step(abs(c.x),1.02))*step(.1,c.z));
    if(c.y<y0) discard; }
  if(window>0&&inface(c)) discard;
  if(hairtex==1){
    t=texture(shair,vt); if(t.a<(isline==1? .7:.45)) discard; t.a=1.;
    if(abs(dot(normalize(vn),normalize(eyepos-vp)))<.16) discard; } // strands seen from the edge are dotted lines
#elif GROUP==1
  if(skintex==1) t=vec4(texture(sskin,vt).rgb,1.);
#elif GROUP==3
  if(m==8&&clothtex==1&&ve.z<.5&&ve.w>.5){ t=texture(scloth,vt); if(t.a<.45) discard; t.a=1.; }
#endif
  vec3 N=normalize(vn); if(dot(N,eyepos-vp)<0.&&isline==0) N=-N;
  a=vec4(N,float(m+(isline==1?20:0)+1)); b=vec4(c,ve.y); e=vec4(ve.xz,ve.w,vt.x); if(m==1) e=ve; if(m==5) e=vec4(vt,ve.zw);
  if(m==6&&!gl_FrontFacing&&ve.y>.3) e.y=1.; // the inside of a sleeve
  tx=vec4(t.rgb,float(m+(isline==1?20:0)+1)/255.); fl=vec4(vs.xyz/vs.w,1.); }"""
)

SHADE_VERTEX = "#version 330\nin vec2 p; void main(){ gl_Position=vec4(p,0,1); }"

_SHADE = (
    """#version 330
#define GROUP %d
uniform sampler2D ga; uniform sampler2D gb; uniform sampler2D ge; uniform sampler2D gt; uniform vec3 viewdir;
layout(location=0) out vec4 o; layout(location=1) out vec4 aux;
"""
    + UNIFORMS
    + """
void main(){
  ivec2 ij=ivec2(gl_FragCoord.xy); vec4 A=texelFetch(ga,ij,0);
  vec4 B=texelFetch(gb,ij,0), E=texelFetch(ge,ij,0), T=texelFetch(gt,ij,0);
  int m=int(A.w+.5)-1; bool line=m>=20; if(line) m-=20;
  int group=m<0? 0: m==0? 1: m==5? 2: (m==6||m==8||m==10)? 3: 4;
  if(group!=GROUP) discard;
  vec3 c=B.xyz; float arm=B.w; vec3 N=normalize(A.xyz); vec3 V=viewdir; float ax=abs(c.x);
  if(paint>0.&&!line){ vec2 q=gl_FragCoord.xy*.045; N=normalize(N+paint*vec3(fbm(q)-.5,fbm(q+31.)-.5,0.)); }
  vec3 alb=vec3(.8); float spec=0.; float glow=0.; float rim=1.; float nosh=0.; float pid=1.; float gloss=30.;
  float real=1.-toon;
#if GROUP==1
  {
    pid= c.y>5.9? 1.: 2.; if(arm>=1.93) pid=14.; else if(arm>0.) pid=13.;
    alb=skintex==1? clamp(T.rgb*texgain*skin,0.,1.): skin;
    float soft=skintex==1? .35:1.;
    if(skintex==0&&real>.3) alb*=.985+.03*fbm(c.xy*9.+c.z*5.);
    if(E.x>.5){ alb=mix(alb,nail,E.x>.95?.85:.0); spec=.2*step(.95,E.x); }
    if(c.y>5.7){
      float cheek=exp(-pow(length((vec2(ax,c.y)-vec2(.52,6.93))*vec2(1.,1.25))/.27,2.))*step(.55,c.z);
      alb=mix(alb,blush,blushA*cheek*soft);
      alb=mix(alb,blush,.35*exp(-pow(length(vec2(ax,c.y)-vec2(0.,6.98))/.14,2.))*step(1.3,c.z)*min(1.,blushA*2.)*soft);
      alb=mix(alb,blush,.4*smoothstep(.78,.95,ax)*step(6.7,c.y)*step(c.y,7.6)*step(c.z,.7)*soft);
      if(freck>0.){ float f=smoothstep(.74,.86,vnoise(c.xy*30.)); float w=exp(-pow(length((vec2(ax,c.y)-vec2(.38,6.98))*vec2(.8,1.5))/.27,2.))*step(.55,c.z);
        alb=mix(alb,alb*vec3(.82,.66,.55),freck*f*w); }
      if(makeup>0.){ float lid=exp(-pow(length((vec2(ax,c.y)-vec2(.33,7.34))*vec2(1.,1.7))/.15,2.))*step(.6,c.z); alb=mix(alb,alb*vec3(.72,.52,.60),makeup*lid); }
      float lm=lips(c); alb=mix(alb,lip,lm*(skintex==1? .55:.88));
      if(lm>.5){ pid=3.; spec=.12+lipgloss; gloss=40.; }
      // brow: an arch over |x|, thick at the nose, thin at the temple
      vec2 p=vec2(ax,c.y-browY); float t=clamp((p.x-.135)/.445,0.,1.);
      float arch=7.468-browA*.3+(.075+browA)*sin(pow(t,.85)*2.75)-.030*t; float off=max(max(.135-p.x,p.x-.58),0.);
      float dd=length(vec2(off,p.y-arch));
      float w=browT*mix(1.,.22,smoothstep(.40,1.,t))*mix(.72,1.,smoothstep(0.,.25,t));
      if(c.z>.6){
        float rough=real*.75; float n=vnoise(vec2(p.x*60.-p.y*45.,p.y*22.+p.x*10.));
        float bm=smoothstep(w+.012+.02*rough,w-.012-.02*rough,dd+rough*.03*(n-.5)); bm*=mix(1.,.55+.45*n,rough);
        alb=mix(alb,browc,bm*mix(.95,.85,rough)); if(bm>.5) pid=6.; }
      if(stubble>0.||beard>0.){
        float jaw=smoothstep(6.95,6.6,c.y+.35*smoothstep(.25,.9,ax)-.3*smoothstep(.55,.85,ax))*smoothstep(6.0,6.2,c.y-.35*max(0.,1.2-c.z))*smoothstep(-.1,.25,c.z);
        jaw*=1.-smoothstep(.05,.5,lm); jaw*=1.-.75*exp(-pow(length((vec2(ax,c.y)-vec2(.0,6.47))*vec2(.5,1.))/.045,2.));
        float gr=.85+.3*vnoise(c.xy*110.);
        alb=mix(alb,mix(alb,hairc*.8,.45*gr),stubble*jaw);
        float bb=smoothstep(.25,.6,jaw+.15*(vnoise(c.xy*16.)-.5)); alb=mix(alb,hairc*mix(.75,1.05,vnoise(vec2(c.x*34.,c.y*9.))),beard*bb); }
      if(hairmode>0){ float cap=smoothstep(7.62,7.80,c.y+.62*clamp(.9-c.z,0.,1.6)); alb=mix(alb,hairc*.72,cap*.9*step(c.z,1.32)); }
      alb*=1.-liner*.8*exp(-pow((length((vec2(ax,c.y)-vec2(.325,7.27))*vec2(1.,1.55))-.155)/.016,2.))*step(.75,c.z)*smoothstep(7.27,7.31,c.y);
    }
  }
#elif GROUP==4
  if(m==1){ // eyeball: E.xyz rest direction, E.w side
    pid=5.; vec3 gz=normalize(E.w>0.? gazeL:gazeR); vec3 d=normalize(E.xyz); float r=acos(clamp(dot(d,gz),-1.,1.))/irisR;
    vec3 white=mix(vec3(.985,.98,.975),vec3(.90,.87,.85),real);
    alb=white*mix(1.,mix(.80,.55,real),smoothstep(.10,.42,d.y)*.9)*mix(1.,.8,real*smoothstep(.3,.75,abs(d.x)));
    float ir=smoothstep(1.03,.97,r); vec3 ic=mix(iris*1.25,iris*.55,smoothstep(-.5,.65,(d.y-gz.y)/irisR));
    vec3 right=normalize(cross(vec3(0,1,0),gz)); vec3 up=cross(gz,right); vec2 q=vec2(dot(d,right),dot(d,up))/irisR;
    if(real>.3) ic*=.75+.5*vnoise(vec2(atan(q.x,q.y)*9.,r*2.));
    ic=mix(ic,iris*.28,smoothstep(.80,.95,r)); ic=mix(ic,vec3(.03,.02,.03),smoothstep(mix(.50,.42,real),mix(.44,.37,real),r));
    ic*=mix(1.,.72,smoothstep(.1,.5,d.y)); alb=mix(alb,ic,ir);
    float hl=smoothstep(.27,.20,length(q-vec2(-.36,.40)))+.75*smoothstep(.13,.08,length(q-vec2(.36,-.38)));
    glow=hl*ir*mix(1.,.65,real); nosh=.75; rim=0.; if(ir>.5) pid=12.; }
  else if(m==2){ // teeth; E.x > .5 gum
    pid=8.; float back=mix(1.,.5,smoothstep(.10,.28,ax))*mix(.22,1.,smoothstep(1.08,1.40,c.z));
    float t=atan(c.x,c.z-.62)*10.5; float gap=smoothstep(.10,.02,abs(fract(t)-.5))*mix(.10,.30,real);
    alb=vec3(.97,.95,.91)*mix(1.,.90,real)*teethdark*back*(1.-gap); if(E.x>.5) alb=vec3(.72,.36,.37)*teethdark*back; nosh=.7; rim=0.; spec=.15*real; }
  else if(m==3){ pid=9.; alb=vec3(.80,.40,.41)*mix(1.,teethdark,.6)*mix(.42,1.,smoothstep(.75,1.32,c.z)); alb*=1.-.25*exp(-pow(c.x/.02,2.)); nosh=.5; rim=0.; spec=.12*real; }
  else if(m==4){ pid=11.; alb=mix(vec3(.07,.05,.05),hairc*.3,.3); nosh=1.; rim=0.; }
  else if(m==7){ pid=7.; alb=mix(vec3(.36,.11,.13),vec3(.20,.05,.06),real)*teethdark*mix(.45,1.,smoothstep(.7,1.3,c.z)); nosh=.85; rim=0.;
    if(c.z>1.36){ alb=mix(alb,lip*.8,.8); pid=3.; } }
  else if(m==9){ pid=16.; alb=acc; spec=.35; gloss=50.; }
  else if(m==11){ pid=16.; alb=E.x>.5? acc2: acc; spec=.25; gloss=40.; }
  else if(m==12){ pid=16.; alb=vec3(.85,.93,1.); nosh=1.; }
#elif GROUP==2
  float st;
  { // hair: E.xy texture coordinates
    pid=4.; float ang=atan(c.x,c.z); st=fbm(vec2(E.x*26.,E.y*1.5)); if(hairmode==1) st=fbm(vec2(ang*22.,c.y*.6));
    alb=mix(hairc*.80,hairc*1.06,smoothstep(.35,.65,st));
    if(hairtex==1){ float lum=dot(T.rgb,vec3(.35,.45,.2))*texgain; alb=mix(hairc*.35,hairc*1.35,clamp(lum,0.,1.2)); }
    vec3 H=normalize(V+L); vec3 tan_=normalize(cross(N,cross(vec3(0,1,0),N))); float sh=sqrt(max(0.,1.-pow(dot(tan_,H),2.)));
    float band=mix(smoothstep(.955,.985,sh+.05*(st-.5)),.5*pow(sh,60.)*(.5+st),real); alb=mix(alb,hairh,band*.55*smoothstep(6.3,6.9,c.y)*smoothstep(.12,.4,dot(N,V))); }
#elif GROUP==3
  if(m==10){ pid=10.; alb=g2*.94; }
  else { // cloth
    pid=10.; if(arm>0.) pid=15.; float g=m==8? 1.: garm(c,arm); alb=g1;
    float ay=arm>0.? arm*3.: c.x;
    if(pattern==1) alb=mix(g1,g2,smoothstep(.47,.5,fract(c.y*1.9))*smoothstep(1.,.97,fract(c.y*1.9)));
    if(pattern==2) alb=mix(g1,g2,.5*step(.8,fract(c.y*1.6))+.5*step(.8,fract((arm>0.?arm*4.:c.x)*1.6)));
    if(pattern==3){ vec2 q=vec2(ay,c.y)*2.6; q.x+=.5*mod(floor(q.y),2.); alb=mix(g1,g2,smoothstep(.24,.2,length(fract(q)-.5))); }
    if(pattern==4&&c.z>0.){ float r=length((c.xy-vec2(0.,3.75))*vec2(1.,1.1)); alb=mix(g1,g2,smoothstep(.62,.58,r)); alb=mix(alb,g1,smoothstep(.30,.27,length(c.xy-vec2(.12,3.82)))); }
    if(pattern==5) alb=mix(g1,g2,smoothstep(.03,-.03,c.y-3.9));
    if(m==6&&garment==5&&c.z>0.&&arm<.05){ // blazer: shirt triangle, lapels, tie or buttons
      float yv=2.9; float hf=.62*clamp((c.y-yv)/(5.1-yv),0.,1.2); float lap=hf+.42*smoothstep(yv-.1,4.6,c.y)*smoothstep(5.5,4.6,c.y);
      if(ax<hf){ alb=g2; float tw=mix(.13,.17,(5.-c.y)/2.);
        if(pattern==7&&ax<tw&&c.y<5.1) alb=g3*mix(.8,1.,step(.5,fract(c.y*1.5+c.x))); else if(ax<.012) alb=g2*.82;
        else if(length(vec2(c.x,fract(c.y*1.6)-.5)/vec2(1.,1.6))<.035) alb=g2*.7; }
      else if(ax<lap){ alb=g1*1.18; if(ax>lap-.03||ax<hf+.02) alb=g1*.55; }
      else if(ax<.02&&c.y<yv) alb=g1*.6;
      if(c.y<yv+.05&&length(c.xy-vec2(.12,yv-.22))<.07) alb=g1*.4;
      if(c.x>.95&&c.x<1.4&&abs(c.y-4.25-.05*c.x)<.02) alb=g1*.6; }
    if(garment==4&&m==6&&c.z>0.&&arm<.05){ // hoodie: strings, zip, pocket
      float w=.02*sin(c.y*5.); if(abs(ax-.30-w)<.035&&c.y>3.75&&c.y<5.2) alb=g2; if(abs(ax-.30-w)<.05&&c.y>3.72&&c.y<3.86) alb=g2*.85;
      if(pattern==6&&ax<.022) alb=g1*.5; float pk=1.05-.35*smoothstep(1.6,2.6,c.y);
      if(c.y<2.6&&abs(ax-pk)<.02) alb=g1*.72; if(ax<pk&&abs(c.y-2.6)<.02) alb=g1*.72; }
    if(m==6&&arm<.05&&c.y<hem){ alb=pants; if(c.y>hem-.05) alb*=.6; else if(ax<.015&&c.z>0.) alb*=.7; }
    if(m==6&&(garment==1||garment==2||garment==4)){ if(g<.11) alb=g3; if(abs(g-.125)<.014) alb*=.75; }
    if(m==6&&E.y>.5) alb*=.55;
    if(m==8){ alb=E.y>.5? g1*.62: g1; if(E.z>.5){ int q=int(E.z+.5)-1; alb=q==0?g1:(q==1?g2:(q==2?g3:g2*.8)); if(clothtex==1) alb=T.rgb; } }
    if(real>.3&&clothtex==0) alb*=.94+.12*vnoise(c.xy*60.); }
#endif
#if GROUP==3
  if(m!=10&&!line){
    vec2 q=arm>0.? vec2(arm*2.6,c.z*.5+c.y*.3): vec2(c.x*.55-.25*c.y*sign(c.x),c.y*.9+.45*ax); float e=.08;
    float f0=vnoise(q*1.7),fx=vnoise((q+vec2(e,0))*1.7),fy=vnoise((q+vec2(0,e))*1.7); N=normalize(N+vec3(f0-fx,f0-fy,0.)*fold/e); }
#endif
  aux=vec4(c,pid);
  if(line){ o=vec4(mix(alb*.28,vec3(.07),ink),1); return; }
  float nl=dot(N,L);
  float rt=smoothstep(.02,.10,nl)*.75+.25*smoothstep(.55,.65,nl); float rr=clamp(nl*.5+.5,0.,1.); rr*=rr;
  float occl=1.;
#if GROUP==1
  {
    float ns=smoothstep(6.05,5.9,c.y+(c.z-1.0)*.35)*smoothstep(5.0,5.45,c.y+.3*ax); occl*=1.-shadowneck*ns*step(ax,1.0)*step(c.y,6.3);
    if(hairmode>0&&c.y>6.5){ float fs=smoothstep(fringe-.28,fringe-.05,c.y)*step(.3,c.z); occl*=1.-.45*fs*step(float(hairmode),1.); }
    if(c.y>6.3) occl*=1.-real*.25*exp(-pow(length((vec2(ax,c.y)-vec2(.17,7.22))*vec2(1.,.8))/.12,2.)); }
#endif
  float ramp=mix(mix(rr,rt,toon)*occl,1.,nosh);
  vec3 shc=alb*mix(vec3(.62,.52,.62),vec3(1.),amb); vec3 col=mix(shc,alb*lcol,ramp);
#if GROUP==1
  if(real>0.){ vec3 w=clamp((nl+vec3(.58,.36,.30))/vec3(1.58,1.36,1.30),0.,1.); w*=occl;
    vec3 sky=amb*.72*mix(.72,1.16,N.y*.5+.5)+.07+vec3(.07,.035,.02)*max(-N.y,0.);
    vec3 cr=alb*(sky*mix(1.,occl,.6)+lcol*w*(1.-.72*amb)); col=mix(col,cr,real); }
  col=mix(col,col*vec3(1.06,.97,.95),(1.-ramp)*.5*toon);
#endif
  float fr=pow(1.-max(dot(N,V),0.),3.); col+=rimlight*rim*fr*.22*mix(.35,1.,toon)*lcol*smoothstep(-.2,.6,N.y+N.x*.4)*alb;
  vec3 H=normalize(L+V); col+=spec*pow(max(dot(N,H),0.),gloss);
#if GROUP==1
  if(real>0.){ // oil on nose, brow and cheekbones, broken up by pores
    float zone=.45; if(c.y>6.2&&c.z>.4) zone+=.55*exp(-pow(ax/.13,2.))+.35*exp(-pow(length(vec2(ax,c.y)-vec2(.50,7.02))/.20,2.))+.3*smoothstep(7.4,7.6,c.y);
    float pore=.7+.6*vnoise(c.xy*46.+c.z*31.); float nh=max(dot(N,H),0.);
    col+=real*zone*pore*(.04*pow(nh,10.)+.06*pow(nh,48.))*lcol*(1.-.5*amb)*occl; }
#endif
  if(real>0.){ // a second, coloured light from the other side, and a camera's curve
    col+=real*alb*fillc*max(dot(N,normalize(vec3(-L.x-.25*sign(L.x),.15,.35))),0.)*(1.-nosh);
    col=mix(col,min(col,1.-.45*exp(-2.2*col)),real*step(.3,dot(col,vec3(.333)))); col=mix(col,vec3(dot(col,vec3(.3,.6,.1))),.06*real); }
  if(ink>0.){ // pen on paper: tones become white, hatching or black
    float tone=dot(alb,vec3(.3,.6,.1)); float base=tone<.16? .13: (tone<.34? .62: .985);
    #if GROUP==2
    base=tone<.25? .13: mix(.32,.93,step(.42,st)); // light hair is drawn strand by strand
#endif
    float hatch=step(.55,fract((c.x*.8+c.y)*9.)); float dark=1.-step(.30,ramp);
    float v=base*mix(1.,mix(.62,1.,hatch),dark*step(.2,base)); if(pid==3.||pid==6.||pid==12.||pid==7.) v=min(v,pid==3.? .62: .15);
    col=mix(vec3(v),alb,.12*step(.3,base)); col=mix(col,vec3(v),ink*.8); }
  col=mix(col,vec3(1.),glow);
  o=vec4(clamp(col,0.,1.),1.);
}"""
)


_GEOMETRY_NAMES = (
    (), ("garment", "skintex"), ("hairmode", "window", "hairtex"), ("garment", "clothtex"), (),
)  # fmt: skip
_SHADE_NAMES = (
    (),
    ("skintex", "paint", "toon", "ink", "freck", "stubble", "beard", "makeup"),
    ("hairmode", "hairtex", "paint", "toon", "ink"),
    ("garment", "pattern", "clothtex", "paint", "toon", "ink"),
    ("paint", "toon", "ink"),
)
_WHOLE = ("garment", "pattern", "hairmode", "window", "skintex", "hairtex", "clothtex", "isline")
Constants = tuple[tuple[str, str], ...]


def _constants(names: tuple[str, ...], values: Mapping[str, Any]) -> Constants:
    """Values that are worth a program of their own: whole numbers, and fractions that are exactly 0 or 1."""
    out = [(n, str(int(values[n]))) for n in names if n in _WHOLE]
    out += [(n, f"{values[n]:.1f}") for n in names if n not in _WHOLE and values[n] in (0, 1)]
    return tuple(out)


def geometry_constants(group: int, values: Mapping[str, Any], *, line: bool) -> Constants:
    """What of ``values`` is compiled into the first pass."""
    return (*_constants(_GEOMETRY_NAMES[group], values), ("isline", str(int(line))))


def shade_constants(group: int, values: Mapping[str, Any]) -> Constants:
    """What of ``values`` is compiled into the second pass."""
    return _constants(_SHADE_NAMES[group], values)


def _specialised(source: str, group: int, constants: Constants) -> str:
    """A shader in which some uniforms are constants: software renderers compute every branch that is left."""
    source = source.replace("%d", str(group), 1)
    for name, value in constants:
        kind = "int" if name in _WHOLE else "float"
        source = re.sub(rf"uniform {kind} {name};", f"const {kind} {name}={value};", source)
    return source


def geometry_fragment(group: int, constants: Constants) -> str:
    """The first pass for one group of materials, 1 to ``GROUPS``."""
    return _specialised(_GEOMETRY, group, constants)


def shade_fragment(group: int, constants: Constants) -> str:
    """The second pass for one group of materials, 1 to ``GROUPS``."""
    return _specialised(_SHADE, group, constants)
