int h(int n) {
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += i * i % 7;
    return sum;
}
