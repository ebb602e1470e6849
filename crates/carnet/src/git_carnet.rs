//! `git carnet …` as `carnet …`: executes the `carnet` that lies beside this program.

use std::os::unix::process::CommandExt as _;

fn main() -> std::io::Result<()> {
    let carnet = std::env::current_exe()?.with_file_name("carnet");
    Err(std::process::Command::new(carnet).args(std::env::args_os().skip(1)).exec())
}
