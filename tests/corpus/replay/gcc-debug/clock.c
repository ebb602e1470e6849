#define TWICE(x) ((x) + (x))

struct stamp {
    const char *day, *time, *file;
};

struct stamp compiled(void) {
    return (struct stamp){__DATE__, __TIME__, __FILE__};
}

int twice(int n) {
    return TWICE(n);
}
