int sum(const int *all, int n) {
    int total = 0;
    while (n--)
        total += *all++;
    return total;
}
