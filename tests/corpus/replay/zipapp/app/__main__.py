from words import WORDS

print(*WORDS, sep="\n")
