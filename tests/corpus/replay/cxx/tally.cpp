#include <algorithm>
#include <iostream>
#include <map>
#include <string>
#include <vector>

namespace {
template <typename T> std::map<T, int> tally(const std::vector<T> &all) {
    std::map<T, int> counts;
    for (const T &one : all)
        ++counts[one];
    return counts;
}
} // namespace

int main(int argc, char **argv) {
    std::vector<std::string> words(argv + 1, argv + argc);
    for (const auto &[word, count] : tally(words))
        std::cout << word << ' ' << count << '\n';
}
