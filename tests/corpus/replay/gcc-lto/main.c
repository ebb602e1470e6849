int sum(const int *all, int n);

int main(void) {
    const int all[] = {1, 2, 3};
    return sum(all, 3) != 6;
}
