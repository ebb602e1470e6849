//! Check digits, as the public specifications give them.
//!
//! Every function takes digits as numbers 0 to 9 (letters where a scheme has them are the caller's), of any length, and
//! answers whether the check holds; a length that the scheme does not have never holds.

/// ISO/IEC 7812-1 annex B (Luhn).
pub(crate) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(idx, digit)| {
            let digit = u32::from(*digit);
            if idx % 2 == 0 { digit } else { digit * 2 % 10 + digit / 5 }
        })
        .sum();
    digits.len() > 1 && sum.is_multiple_of(10)
}

/// Verhoeff's dihedral scheme (Mathematical Centre Tracts 29, 1969): the group D5 and its permutation.
pub(crate) fn verhoeff(digits: &[u8]) -> bool {
    const PERMUTATION: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let product = |a: u8, b: u8| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let mut sum = 0;
    for (idx, digit) in digits.iter().rev().enumerate() {
        let permuted = (0..idx % 8).fold(*digit, |it, _| PERMUTATION[usize::from(it)]);
        sum = product(sum, permuted);
    }
    sum == 0
}

/// Returns the sum of digits times weights; digits beyond the weights do not count.
pub(crate) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| u32::from(*digit) * weight).sum()
}

/// ISO/IEC 7064 MOD 11,10: the last digit is the check digit.
pub(crate) fn mod_11_10(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let product = body.iter().fold(10, |product, digit| {
        let sum = (product + u32::from(*digit)) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == u32::from(*check)
}

/// Returns a number of any length modulo `modulus` (at most 10^8).
pub(crate) fn remainder(digits: &[u8], modulus: u64) -> u64 {
    digits.iter().fold(0, |rest, digit| (rest * 10 + u64::from(*digit)) % modulus)
}

/// ISO 13616 (IBAN), by ISO/IEC 7064 MOD 97-10: letters and digits without blanks, in capitals.
pub(crate) fn iban(text: &[u8]) -> bool {
    if text.len() < 5 {
        return false;
    }
    let (head, body) = text.split_at(4);
    let mut rest: u32 = 0;
    for byte in body.iter().chain(head) {
        rest = match byte {
            b'0'..=b'9' => rest * 10 + u32::from(byte - b'0'),
            b'A'..=b'Z' => rest * 100 + u32::from(byte - b'A') + 10,
            _ => return false,
        } % 97;
    }
    rest == 1
}

/// ICAO Doc 9303 part 3 §4.9: weights 7, 3, 1; `<` is zero and letters are 10 to 35. The last byte is the check digit.
pub(crate) fn machine_readable(field: &[u8]) -> bool {
    let Some((check, body)) = field.split_last() else { return false };
    let mut sum = 0;
    for (byte, weight) in body.iter().zip([7, 3, 1].into_iter().cycle()) {
        sum += weight
            * match byte {
                b'0'..=b'9' => u32::from(byte - b'0'),
                b'A'..=b'Z' => u32::from(byte - b'A') + 10,
                b'<' => 0,
                _ => return false,
            };
    }
    check.is_ascii_digit() && sum % 10 == u32::from(check - b'0')
}

/// Whether the digits name a day: two digits each of month (01 to 12) and day (01 to 31).
pub(crate) fn is_day(month: &[u8], day: &[u8]) -> bool {
    let two = |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(*digit));
    (1..=12).contains(&two(month)) && (1..=31).contains(&two(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> Vec<u8> {
        text.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect()
    }

    /// The example of each specification holds, and every change of one digit is noticed.
    fn check(holds: fn(&[u8]) -> bool, example: &str) {
        let good = digits(example);
        assert!(holds(&good), "{example}");
        for idx in 0..good.len() {
            let mut changed = good.clone();
            changed[idx] = (changed[idx] + 1) % 10;
            assert!(!holds(&changed), "{example} with digit {idx} changed");
        }
    }

    #[test]
    fn luhn_notices_every_changed_digit() {
        check(luhn, "7992 7398 713");
    }
    #[test]
    fn verhoeff_notices_every_changed_digit() {
        check(verhoeff, "2363");
    }
    #[test]
    fn iso_7064_notices_every_changed_digit() {
        check(mod_11_10, "794623");
    }
    #[test]
    fn iban_and_passport_hold_for_the_published_examples() {
        assert!(iban(["GB82WEST", "12345698765432"].concat().as_bytes()));
        assert!(!iban(["GB82WEST", "12345698765433"].concat().as_bytes()));
        assert!(!iban(b"GB82"));
        assert!(machine_readable(b"L898902C36"));
        assert!(!machine_readable(b"L898902C37"));
        assert!(!machine_readable(b""));
    }
}
