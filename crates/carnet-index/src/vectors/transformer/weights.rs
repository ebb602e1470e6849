//! Reads `model.safetensors`: a length, a list in JSON, and the numbers.

use std::collections::HashMap;

use ndarray::{Array1, Array2};
use serde::Deserialize;

use super::{TransformerError, wrong};

/// The file.
pub(super) const FILE: &str = "model.safetensors";
/// Longest list, in bytes.
const LIST_BYTES_MAX: usize = 64 << 20;

/// The numbers of a model, by name.
pub(super) struct Weights<'a> {
    entries: HashMap<String, Entry>,
    bytes: &'a [u8],
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

impl<'a> Weights<'a> {
    pub fn new(file: &'a [u8]) -> Result<Weights<'a>, TransformerError> {
        let cut = || wrong(FILE, "it is cut short");
        let (n, rest) = file.split_first_chunk::<8>().ok_or_else(cut)?;
        let n = usize::try_from(u64::from_le_bytes(*n)).map_err(|_| cut())?;
        if n > LIST_BYTES_MAX {
            return Err(wrong(FILE, "its list is too long"));
        }
        let (list, bytes) = rest.split_at_checked(n).ok_or_else(cut)?;
        let list: HashMap<String, serde_json::Value> =
            serde_json::from_slice(list).map_err(|error| wrong(FILE, error.to_string()))?;
        let mut entries = HashMap::new();
        for (name, value) in list.into_iter().filter(|(name, _)| name != "__metadata__") {
            let entry: Entry = serde_json::from_value(value)
                .map_err(|error| wrong(FILE, format!("`{name}`: {error}")))?;
            let name = name.strip_prefix("bert.").unwrap_or(&name).to_owned();
            entries.insert(name, entry);
        }
        Ok(Weights { entries, bytes })
    }

    pub fn matrix(&self, name: &str) -> Result<Array2<f32>, TransformerError> {
        let (shape, numbers) = self.numbers(name)?;
        let &[n_rows, n_columns] = shape else {
            return Err(wrong(FILE, format!("`{name}` is no matrix")));
        };
        Array2::from_shape_vec((n_rows, n_columns), numbers)
            .map_err(|error| wrong(FILE, format!("`{name}`: {error}")))
    }

    pub fn vector(&self, name: &str, n: usize) -> Result<Array1<f32>, TransformerError> {
        match self.numbers(name)? {
            (_, numbers) if numbers.len() == n => Ok(Array1::from_vec(numbers)),
            (_, numbers) => {
                Err(wrong(FILE, format!("`{name}` has {} numbers, not {n}", numbers.len())))
            }
        }
    }

    fn numbers(&self, name: &str) -> Result<(&[usize], Vec<f32>), TransformerError> {
        let entry = self.entries.get(name);
        let entry = entry.ok_or_else(|| wrong(FILE, format!("it has no `{name}`")))?;
        let [start, end] = entry.data_offsets;
        let bytes = self.bytes.get(start..end);
        let bytes = bytes.ok_or_else(|| wrong(FILE, format!("`{name}` is not in it")))?;
        let numbers: Vec<f32> = match entry.dtype.as_str() {
            "F32" => each(bytes, f32::from_le_bytes),
            "F16" => each(bytes, |it| half(u16::from_le_bytes(it))),
            "BF16" => each(bytes, |it| f32::from_bits(u32::from(u16::from_le_bytes(it)) << 16)),
            other => return Err(wrong(FILE, format!("`{name}` is of type `{other}`"))),
        };
        let n: Option<usize> =
            entry.shape.iter().try_fold(1_usize, |product, it| product.checked_mul(*it));
        if n != Some(numbers.len()) || numbers.iter().any(|it| !it.is_finite()) {
            return Err(wrong(FILE, format!("`{name}` does not hold the finite numbers it says")));
        }
        Ok((&entry.shape, numbers))
    }
}

fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let chunks = bytes.chunks_exact(N).filter_map(|it| it.try_into().ok());
    chunks.map(number).collect()
}

/// A 16-bit number of IEEE 754.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 0x1f, f32::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2.0_f32.powi(-24),
        0x1f => f32::INFINITY,
        _ => (1.0 + fraction / 1024.0) * 2.0_f32.powi(i32::from(exponent) - 15),
    };
    if sign == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read() {
        for (bits, number) in
            [(0x3c00, 1.0), (0xc000, -2.0), (0x3555, 0.333_251_95), (0x0001, 5.960_464_5e-8)]
        {
            assert_eq!(half(bits), number);
        }
    }

    fn file(list: &str, numbers: &[u8]) -> Vec<u8> {
        [&(list.len() as u64).to_le_bytes(), list.as_bytes(), numbers].concat()
    }

    #[test]
    fn what_is_no_model_is_refused() {
        let good = r#"{"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
        let numbers = [1.0_f32, 2.0].map(f32::to_le_bytes).concat();
        let whole = file(good, &numbers);
        assert_eq!(Weights::new(&whole).unwrap().matrix("a").unwrap().len(), 2);
        for n in 0..whole.len() {
            assert!(Weights::new(&whole[..n]).and_then(|it| it.matrix("a")).is_err(), "{n} bytes");
        }
        for bad in [
            r#"{"a":{"dtype":"F32","shape":[1,2],"data_offsets":[8,0]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1,3],"data_offsets":[0,8]}}"#,
            r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#,
            r#"{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#,
            r#"{"b":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#,
            r#"{"a":1}"#,
            "[]",
        ] {
            let bytes = file(bad, &numbers);
            assert!(Weights::new(&bytes).and_then(|it| it.matrix("a")).is_err(), "{bad}");
        }
        let endless = [f32::NAN, 1.0].map(f32::to_le_bytes).concat();
        let bytes = file(good, &endless);
        assert!(Weights::new(&bytes).unwrap().matrix("a").is_err());
        assert!(Weights::new(&u64::MAX.to_le_bytes()).is_err());
    }
}
