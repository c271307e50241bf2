"""Written Chinese to spoken words, by the rules of WeTextProcessing and a few of our own before it.

The library is asked last: it reads dates, times, measures and counts well. What it does not know is
put into words first: amounts of money, addresses, spaced telephone numbers and other digit strings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol, cast

_DIGITS = "零一二三四五六七八九"
_CURRENCIES = {"¥": "元", "￥": "元", "$": "美元", "€": "欧元", "£": "英镑"}
_CODES = {"RMB": "元", "CNY": "元", "USD": "美元", "EUR": "欧元", "GBP": "英镑", "HKD": "港元"}
_MARKS = {
    "@": "艾特",
    ".": "点",
    "-": "杠",
    "_": "下划线",
    "/": "斜杠",
    "?": "问号",
    "=": "等于",
}
_SMALL = ("", "十", "百", "千")
_LARGE = ("", "万", "亿", "万亿")


class NormaliserMissingError(RuntimeError):
    """The library for Chinese is not installed."""


class _Normaliser(Protocol):
    def normalize(self, text: str) -> str: ...


@lru_cache(maxsize=1)
def _library() -> _Normaliser:
    """Loaded at first use: its tables take half a second."""
    try:
        from wetext import Normalizer  # noqa: PLC0415
    except ImportError as error:
        raise NormaliserMissingError(
            "Reading Chinese aloud needs one more package: pip install 'vita-agent[chinese]'."
        ) from error
    return cast(_Normaliser, Normalizer(lang="zh", operator="tn"))


def one_by_one(text: str, one: str = "一") -> str:
    """Every digit by itself; `one` is 幺 on the telephone."""
    return "".join((_DIGITS[int(c)] if c != "1" else one) for c in text if c.isdigit())


def cardinal(number: int) -> str:
    """A whole number in words: 2,305 is 两千三百零五."""
    if number == 0:
        return _DIGITS[0]
    groups: list[int] = []
    while number:
        number, rest = divmod(number, 10_000)
        groups.append(rest)
    words = ""
    for place in reversed(range(len(groups))):
        group = groups[place]
        if group == 0:
            words += "" if words.endswith("零") or not any(groups[:place]) else "零"
            continue
        if words and group < 1_000 and not words.endswith("零"):
            words += "零"
        words += _group(group) + _LARGE[place]
    if words.startswith("一十"):
        words = words[1:]
    return re.sub(r"二(?=千)|(?<![十百零])二(?=[万亿])", "两", words)


def _group(number: int) -> str:
    words, gap = "", False
    for place in reversed(range(4)):
        digit = number // 10**place % 10
        if digit:
            words += ("零" if gap and words else "") + _DIGITS[digit] + _SMALL[place]
            gap = False
        else:
            gap = True
    return words


def amount(text: str) -> str:
    """A number with optional commas and decimals: `1,299.5`."""
    whole, _, part = text.replace(",", "").replace("，", "").partition(".")
    return cardinal(int(whole)) + (f"点{one_by_one(part)}" if part else "")


def _counted(text: str) -> str:
    """Before a measure word two is 两."""
    return "两" if text == "2" else amount(text)


def _yuan(text: str) -> str:
    """Yuan with jiao and fen: `35.50` is 三十五块五 in speech, 三十五元五角 in a shop's words."""
    whole, _, part = text.replace(",", "").partition(".")
    part = part.ljust(2, "0")[:2]
    words = f"{_counted(whole)}元" if int(whole) or part == "00" else ""
    if part[0] != "0":
        words += f"{_counted(part[0])}角"
    elif part[1] != "0" and words:
        words += "零"
    return words + (f"{_counted(part[1])}分" if part[1] != "0" else "")


def _money(match: re.Match[str]) -> str:
    name = _CURRENCIES[match["sign"]]
    scale = match["scale"] or ""
    minus = "负" if match["minus"] else ""
    if name == "元" and not scale:
        return minus + _yuan(match["amount"])
    return minus + _counted(match["amount"]) + scale + name


def _paid(match: re.Match[str]) -> str:
    if "." in match[1] and len(match[1].partition(".")[2]) <= 2:
        return _yuan(match[1])
    return _counted(match[1]) + "元"


def _coded(match: re.Match[str]) -> str:
    return f"{_counted(match['after'] or match['before'])}{_CODES[match['code'] or match['then']]}"


def _address(match: re.Match[str]) -> str:
    text = re.sub(r"^https?://", "", match[0])
    text = re.sub(r"\d+", lambda found: one_by_one(found[0]), text)
    for mark, word in _MARKS.items():
        text = text.replace(mark, word)
    return text


def _phone(match: re.Match[str]) -> str:
    start = "加" if match[0].startswith("+") else ""
    return start + "，".join(one_by_one(group, "幺") for group in re.findall(r"\d+", match[0]))


def _mobile(match: re.Match[str]) -> str:
    return one_by_one(match[0], "幺")


def _labelled(match: re.Match[str]) -> str:
    return match[1] + one_by_one(match[2], "幺")


_AMOUNT = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_SCALE = r"(?P<scale>万|亿|千|百万)?"
_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(
            r"[A-Za-z0-9_.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
            r"|(?:https?://|www\.)[A-Za-z0-9./?=_-]*[A-Za-z0-9/]"
            r"|(?<![A-Za-z0-9])[A-Za-z0-9-]+\.(?:com|cn|net|org|io)(?:\.cn)?(?:/[A-Za-z0-9/_-]*)?"
        ),
        _address,
    ),
    (
        re.compile(
            rf"(?P<minus>(?<!\d)[-−])?(?P<sign>[¥￥$€£]) ?(?P<amount>{_AMOUNT}){_SCALE}(?:元|块)?"
        ),
        _money,
    ),
    (
        re.compile(
            rf"(?P<code>RMB|CNY|USD|EUR|GBP|HKD) ?(?P<after>{_AMOUNT})"
            rf"|(?P<before>{_AMOUNT}) ?(?P<then>RMB|CNY|USD|EUR|GBP|HKD)"
        ),
        _coded,
    ),
    (re.compile(rf"(?<![\d.,])({_AMOUNT})元"), _paid),
    (re.compile(r"\+\d{1,3}(?:[ -]?\d{2,4}){2,4}"), _phone),
    (re.compile(r"(?<!\d)0\d{2,3}[ -]\d{3,4}[ -]?\d{4}(?!\d)"), _phone),
    (re.compile(r"(?<!\d)[48]00[ -]\d{3,4}[ -]\d{3,4}(?!\d)"), _phone),
    (re.compile(r"(?<!\d)1[3-9]\d(?:[ -]\d{4}){2}(?!\d)"), _phone),
    (re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)"), _mobile),
    (
        re.compile(
            r"((?:订单|单|编|车牌|房间|房|账|卡|学|工|证|身份证|手机|电话|QQ|微信|航班|验证|邮政编|邮)"
            r"[号码]*(?:是|为|：|:| )?|尾号(?:是|为)?|拨打?)(\d{3,})(?!\d|[点年月日:.元])"
        ),
        _labelled,
    ),
    (re.compile(r"(?<![\d.])\d{9,}(?![\d.])"), lambda match: one_by_one(match[0])),
    (re.compile(r"24/7"), lambda _: "全天候"),
    (
        re.compile(r"(?<![\d/.])(\d{1,3})/(\d{1,3})(?![\d/])"),
        lambda match: f"{cardinal(int(match[2]))}分之{cardinal(int(match[1]))}",
    ),
    (re.compile(r"(?<=\d)\s?[×xX]\s?(?=\d)"), lambda _: "乘"),
    (re.compile(r"(\d),(?=\d{3}(?!\d))"), lambda match: match[1]),
)
_WIDE = str.maketrans("０１２３４５６７８９：％＋－＄", "0123456789:%+-$")


def spoken_chinese(text: str) -> str:
    """Words for the speech decoder; Latin words and pauses stay, marks nobody speaks go.

    Args:
        text: One phrase as written, such as `我们9:30开门，价格是¥35.50。`.

    Returns:
        `我们九点三十分开门，价格是三十五元五角。`

    Raises:
        NormaliserMissingError: The package for Chinese is not installed.
    """
    text = text.translate(_WIDE)
    for pattern, rule in _RULES:
        text = pattern.sub(rule, text)
    text = _library().normalize(text)
    text = re.sub(r"[“”\"()（）\[\]【】《》<>*_#`]", "", text)
    return re.sub(r"\s+", " ", text).strip()
