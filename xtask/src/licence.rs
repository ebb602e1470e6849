//! Licences: the score on public test data, and the packed SPDX list.

use crate::{
    shell::{Cmd, repository_root},
    system,
};

/// Scores licence detection on the checkouts in `dir`; see `crates/carnet-scan/examples/eval_licence.rs`.
pub fn eval(dir: &str) -> Result<(), String> {
    example("eval_licence", dir).run()
}

/// Packs the SPDX list anew from the `json` folder of a checkout of spdx/license-list-data.
pub fn data(dir: &str) -> Result<(), String> {
    let plain = system::target_dir().join("spdx.txt");
    let packed = repository_root().join("crates/carnet-scan/licences/spdx.txt.gz");
    let records = example("licence_data", dir).read()?;
    let failed = |error: std::io::Error| error.to_string();
    std::fs::write(&plain, records).map_err(failed)?;
    Cmd::new("gzip").args(&["-9", "--no-name", "--force"]).arg(&plain).run()?;
    std::fs::copy(plain.with_extension("txt.gz"), &packed).map_err(failed)?;
    println!("wrote {}", packed.display());
    Ok(())
}

fn example(name: &str, dir: &str) -> Cmd {
    let words =
        ["run", "--quiet", "--release", "--package", "carnet-scan", "--example", name, "--"];
    system::cargo().args(&words).arg(dir).dir(&repository_root())
}
