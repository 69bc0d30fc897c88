"""The words by which a mail gives away what it is: a failure, a delay, an automatic reply.

What is searched anywhere in a text is read in lower case: to heed no case takes four times as long.
"""

import re

# Who writes bounces: the sender's name or address. MAILER-DAEMON writes nothing else.
DAEMON = re.compile(r"mailer-?daemon@")
MAIL_SYSTEM = re.compile(
    r"mailer-?daemon|post[-_ ]?master|mail[ .-]?deliver|mdaemon|mail (?:system|administrator)"
    r"|\bdaemon\b|system administrator|microsoftexchange329e71ec|^\s*<>|^\s*$"
)
# People answer and forward bounces.
CONVERSATION = re.compile(r"\s*(?:re|aw|fwd?|wg|sv|tr|rv)\s*:", re.I)

FAILURE = re.compile(
    r"""undeliver|non-?deliver|postponed|returned\ (?:e?-?mail|message|to\ sender)
    |not\ (?:yet\ )?(?:be\ |been\ )?(?:deliver|sent\b)
    |delivery\ (?:status|failure|warning|problem|report|error|has\ failed|notification|unsuccessful)
    |(?:mail|message|delivery)\ (?:delivery\ )?(?:failed|failure|error|problem)
    |failure\ notice|failed\ (?:delivery|mail)|mail\ system\ error|error\ sending\ your
    |(?:could|can|did|was|has|were)\ ?n(?:[o']t)?\ (?:be\ |been\ )?(?:deliver|reach|sent|accept)
    |unable\ to\ (?:deliver|send)|cannot\ be\ delivered|permanent\ (?:fatal\ )?error
    |loop\ alert|mail\ loop|rejected|user\ unknown|unknown\ user|does\ not\ exist
    |not\ a\ (?:valid|known)\ (?:user|recipient|address|mailbox)
    |non\ remis|[ée]chec\ (?:de|d')|n'a\ pas\ pu|impossible\ de\ (?:remettre|distribuer)
    |unzustellbar|nicht\ (?:zugestellt|zustellbar)|zustellung\ .{0,30}(?:fehl|gescheitert)
    |no\ (?:se\ ha|se\ pudo|entregad)|n[ãa]o\ (?:foi\ )?(?:entreg|pôde)|devuelto
    |mancato\ recapito|impossibile|non\ (?:[eè]\ stato|recapit)
    |niet\ (?:worden\ )?bezorg|(?:on|niet\ )bestelbaar|olevererbar|(?:inte|ikke)\ lever
    |nie\ ?(?:zosta|dostarcz|można\ dostarcz)|nedoručiteln|nelze\ doručit|kézbesíthetetlen
    |teslim\ edilem|не\ ?доставл|не\ может\ быть\ доставлен|не\ удается\ доставить
    |送信でき|配信でき|配信不能|配送|エラー|退信|投(?:递失败|遞失敗)|未送[达達]|[无無]法(?:投[递遞]|送[达達]|[发發傳]送)
    |(?:전송|발송|배달).{0,4}(?:실패|못)|반송|không\ (?:thể\ )?gửi
    |tidak\ (?:dapat|bisa)\ (?:di)?kirim|nu\ a\ putut\ fi
    |δεν\ (?:παραδόθηκε|ήταν\ δυνατ)|تعذر|فشل|לא\ (?:נמסר|ניתן)|ไม่สามารถ""",
    re.X,
)

# Each branch begins with a letter, so that most of a text is passed over.
DELAY_IN_SUBJECT = re.compile(
    r"""d(?<=\bd)elay(?:ed)?\b|still\ being\ retried
    |verzöger|retard|trasa|ritard|opóźni|задерж|遅延|延迟
    |w(?<=\bw)arning\b.{0,40}
      \b(?:for\ past|for\ the\ past|not\ (?:yet\ )?(?:been\ )?(?:sent|deliver))""",
    re.X,
)
DELAY = re.compile(
    r"""warning\ message\ only|not\ need\ to\ re-?send|has\ been\ (?:delayed|postponed)
    |not\ yet\ been\ delivered|message\ will\ be\ retried|temporarily\ delayed
    |will(?<!not\ will)(?<!\wwill)\ (?:continue|keep)\ (?:to\ )?(?:be\ )?(?:try|retr|attempt)
    |still\ (?:be\ )?(?:retried|retrying|trying)|delivery\ attempts\ will\ continue""",
    re.X,
)

AWAY_IN_SUBJECT = re.compile(
    r"""^\W*(?:(?:re|aw|sv|antw|antwort)\s*:\s*)?(?:
      auto(?:matic(?:ally)?|mated|matisch\w*|mática|matique|matica)?[\s:-]*(?:generated\s+)?
        (?:reply|response|repl|answer|antwort|svar|antwoord)
    | out[\s-]of[\s-](?:the[\s-])?office | vacation\b
    | auto:\s.{0,80}\b(?:is\ out\ of|ist\ (?:außer|nicht)|est\ absent|no\ está|è\ fuori|is\ afwezig)
    | (?:i\ am|i'm)?\ ?(?:currently\ )?(?:away|on\ (?:vacation|holiday|leave))\b
    | abwesen | (?:ich\ bin\ )?nicht\ (?:im\ (?:büro|haus)|erreichbar)
    | r[ée]ponse\ automatique | absen(?:t|ce)\b | risposta\ automatica | fuori\ (?:sede|ufficio)
    | respuesta\ autom | resposta\ autom | fuera\ de\ (?:la\ )?oficina | ausente
    | afwezig | niet\ aanwezig | autosvar | frånvaro | fravær | poissa | automaattinen
    | odpowied[zź]\ automatyczna | automatyczna\ odpowied | autoodpowied
    | automatická\ odpov | automatikus | otomatik
    | автоответ | автоматический\ ответ
    | 自動(?:返信|応答|回复|回覆) | 自动(?:回复|答复) | 不在 | 부재 | 자동
    )""",
    re.I | re.X,
)

COMPLAINT_IN_SUBJECT = re.compile(
    r"\s*(?:complaint about message|abuse (?:report|complaint)|spam complaint)", re.I
)
