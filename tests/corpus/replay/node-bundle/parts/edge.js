exports.edge = (n) => n + 4;
