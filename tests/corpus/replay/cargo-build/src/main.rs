//! Areas.

fn main() {
    println!("{} {}", env!("SHAPE"), 6 * 7);
}
