BEGIN { FS = "," }
NR > 1 { sum[$2] += $3; total += $3 }
END {
    for (city in sum) printf "%-10s %8.2f\n", city, sum[city]
    printf "%-10s %8.2f\n", "total", total
}
