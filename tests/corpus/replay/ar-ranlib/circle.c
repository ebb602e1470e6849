double circle(double r) { return 3.141592653589793 * r * r; }
