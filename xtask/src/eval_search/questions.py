"""Questions: the first sentence of a comment; then without identifiers; then without the words of the function's name."""

import re

import Stemmer

STEM = Stemmer.Stemmer("english").stemWord
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_']*")
IDENTIFIER = re.compile(r"_|[a-z0-9][A-Z]|::|\(\)|[A-Za-z]\.[A-Za-z]|[A-Z][A-Z]+[a-z]")
SAYS_NOTHING = re.compile(
    r"^(deprecated|todo|fixme|see |same as|like |alias|inherit|@|\{@|copyright|nolint|go:|test|safety|internal|overload|implements? |noop|returns? self)",
    re.I,
)
STOP = set(
    "a an the of to in on at by for from with without and or not is are was were be been being it its this that these those as if "
    "into than then when whether which who whose will would can could should may must do does did has have had given returns return "
    "sets set gets get creates create used use using all any each same other new only one so such also but no their there they them "
    "we you your via per up out".split()
)
KINDS = ("as written", "without identifiers", "without the name's words")
ANSWERS_MAX = 5


def subwords(text):
    text = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", text)
    text = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", text)
    return [word.lower() for word in re.findall(r"[A-Za-z]+|\d+", text)]


def ask(functions):
    """Returns a list of ({kind: question}, positions of the functions that answer it)."""
    answers = {}
    for idx, function in enumerate(functions):
        sentence = first_sentence(function.doc) if function.doc.strip() and not function.is_test else ""
        if sentence and is_good(sentence):
            answers.setdefault(sentence, []).append(idx)
    asked = []
    for question, right in answers.items():
        if len(right) > ANSWERS_MAX:
            continue
        names = [(functions[idx].name, functions[idx].language) for idx in right]
        bare, other = question, question
        for name, language in names:
            bare = bare and without_identifiers(bare, name, language)
            other = other and without_name(other, name)
        asked.append((dict(zip(KINDS, (question, bare, other))), right))
    return asked


def first_sentence(doc):
    paragraph = []
    for line in doc.replace("\r", "").strip().split("\n"):
        if not line.strip() or (paragraph and re.match(r"\s*(:param|:return|@|>>>|```|\.\. |#|Args:|Returns:|Parameters|Example|---)", line)):
            break
        paragraph.append(line.strip())
    text = re.sub(r"```.*", "", " ".join(paragraph))
    text = re.sub(r":[a-z:]+:`~?([^`<]*?)(?:\s*<[^>]*>)?`", r"\1", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\{@(?:link|linkcode|linkplain)\s+([^}]*)\}", r"\1", text)
    text = re.sub(r"https?://\S+", " ", re.sub(r"<[^>]{1,40}>", " ", re.sub(r"[`*]|\[|\]", "", text)))
    text = re.sub(r"\s+", " ", text).strip()
    end = re.match(r"(.+?(?<!\be\.g)(?<!\bi\.e)(?<!\betc)(?<!\bvs)[.!?])(?=\s+[A-Z(]|$)", text)
    return (end.group(1) if end else text).strip()


def is_good(question):
    n_ascii = sum(char.isascii() for char in question)
    return 4 <= len(WORD.findall(question)) <= 60 and not SAYS_NOTHING.search(question) and n_ascii > 0.95 * len(question)


def enough(text):
    words = WORD.findall(text)
    return text if len(words) >= 3 and sum(word.lower() not in STOP for word in words) >= 2 else None


def without_identifiers(question, name, language):
    def is_kept(word):
        core = word.strip(".,;:!?()\"'")
        return not IDENTIFIER.search(core) and not (core == name and (language == "go" or len(subwords(name)) > 1))

    return enough(" ".join(filter(is_kept, question.split())).strip(" ,;:"))


def without_name(question, name):
    own = {STEM(word) for word in subwords(name)}
    flat = re.sub(r"[^a-z0-9]", "", name.lower())

    def is_kept(word):
        parts = [STEM(part) for part in subwords(word)]
        core = re.sub(r"[^a-z0-9]", "", word.lower())
        return parts and not own.intersection(parts) and not (len(core) >= 4 and core in flat)

    return enough(" ".join(filter(is_kept, question.split())).strip(" .,;:"))
