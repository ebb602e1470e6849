int a(int), b(int), c(int), d(int), e(int), f(int), g(int), h(int), i(int), j(int), k(int);

int main(int n, char **words) {
    (void)words;
    return a(n) == k(n);
}
