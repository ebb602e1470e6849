//! Names the shape.

fn main() {
    println!("cargo:rustc-env=SHAPE=rectangle");
}
