"""The style of a page: two themes, one column on a phone; in print black on white, two columns, nothing folded away."""

#: Names of the colours of sets, in the order in which controls take them.
CONTROLS = ("c0", "c1", "c2", "c3")

STYLE = """
:root{color-scheme:light dark;--page:#fff;--ink:#1f2328;--soft:#59636e;--line:#d1d9e0;--box:#f6f8fa;
--pool:#9aa4ae;--selection:#0969da;--c0:#bc4c00;--c1:#7d3fd1;--c2:#1a7f37;--c3:#9a6700;
--good:#1a7f37;--look:#bc4c00;--unknown:#59636e}
@media (prefers-color-scheme:dark){:root{--page:#0d1117;--ink:#e6edf3;--soft:#9198a1;--line:#3d444d;--box:#151b23;
--pool:#6e7681;--selection:#58a6ff;--c0:#f0883e;--c1:#bc8cff;--c2:#3fb950;--c3:#d4a72c;
--good:#3fb950;--look:#f0883e;--unknown:#9198a1}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:20px 16px 48px}
h1{font-size:1.6rem;line-height:1.25;margin:.2em 0;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:0 0 .6em}h3{font-size:1rem;margin:1.2em 0 .4em}
p{margin:.4em 0;overflow-wrap:anywhere}.soft,figcaption,caption{color:var(--soft);font-size:.87rem}
.answer{font-size:1.12rem;border-left:5px solid var(--unknown);padding:.2em 0 .2em .9em;margin:1em 0}
.answer.good{border-color:var(--good)}.answer.look{border-color:var(--look)}
section{border-top:1px solid var(--line);margin-top:1.6em;padding-top:1.1em}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:8px 28px}
figure{margin:0 0 .8em;min-width:0}figure h3{margin-top:0}
svg{display:block;width:100%;max-width:560px;height:auto;stroke-linejoin:round;stroke-linecap:butt}
svg text{font-family:inherit}
.wide{overflow-x:auto;margin:.5em 0}
table{border-collapse:collapse;font-size:.9rem;min-width:min(100%,340px)}
th,td{padding:.28em .9em .28em 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600;white-space:nowrap}td{overflow-wrap:anywhere;min-width:3em}td:first-child{min-width:8.5em}
.ratios table{font-size:.86rem}.ratios th,.ratios td{white-space:nowrap;padding-right:.7em}
.ratios td:first-child{white-space:normal}
td.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.bar{display:block;height:.8em;min-width:1px;background:var(--selection);border-radius:2px;margin-top:.35em}
.track{display:block;width:clamp(80px,24vw,280px)}
.good{color:var(--good)}.look{color:var(--look)}.unknown{color:var(--unknown)}
.answer,.answer p{color:var(--ink)}
pre{margin:.3em 0;padding:.6em .8em;background:var(--box);border:1px solid var(--line);border-radius:6px;
font:.84rem/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere;
max-height:14em;overflow:auto;unicode-bidi:isolate;text-align:start}
.row{margin:.8em 0}.row .soft{overflow-wrap:anywhere}
details{margin:.5em 0}summary{cursor:pointer;font-weight:600}
@media (max-width:480px){main{padding:12px 12px 32px}h1{font-size:1.35rem}.answer{font-size:1.02rem}}
@media print{:root{--page:#fff;--ink:#000;--soft:#444;--line:#bbb;--box:#fff;--pool:#9aa4ae;--selection:#0969da;
--c0:#bc4c00;--c1:#7d3fd1;--c2:#1a7f37;--c3:#9a6700;--good:#1a7f37;--look:#bc4c00;--unknown:#444}
@page{margin:14mm}html,body{font-size:11px}main{max-width:none;padding:0}
section{margin-top:1em;padding-top:.8em}.pair{grid-template-columns:repeat(2,minmax(0,1fr));gap:6px 18px}
.wide{overflow:visible}.ratios th,.ratios td{white-space:normal}.rows{columns:2;column-gap:18px}
pre{font-size:7.5px;max-height:none;overflow:visible}details::details-content{content-visibility:visible;height:auto}
figure,.row,tr{break-inside:avoid}h2,h3{break-after:avoid}}
"""
