//! National identifiers with check digits: one entry each.
//!
//! An entry says how many digits (or which letters) there are, how people group them, what checks, and by which words
//! the number is spoken of. A number without such a word is only a candidate: one in ten to one in a hundred numbers of
//! its length would pass. Public specifications are named with each entry.

use super::checks::{is_day, luhn, mod_11_10, remainder, verhoeff, weighted};

/// One kind of number.
pub(crate) struct National {
    /// The rule's id.
    pub(crate) id: &'static str,
    /// What it is, in a few words.
    pub(crate) description: &'static str,
    /// `9` is a digit, `A` a letter, `*` either; groups parted by a blank. The first is the form without separators.
    pub(crate) forms: &'static [&'static str],
    /// Looks at the characters without separators: digits as ASCII, letters in capitals.
    pub(crate) holds: fn(&[u8]) -> bool,
    /// Words that speak of it, in small letters.
    pub(crate) words: &'static [&'static str],
    /// Whether the grouped form alone, or the letters, say enough for a candidate to be likely.
    pub(crate) speaks_for_itself: bool,
    /// The public specification.
    pub(crate) reference: &'static str,
}

/// Digits of an all-digit identifier, as numbers.
fn digits(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| byte.wrapping_sub(b'0')).collect()
}

fn sums_to(text: &[u8], weights: &[u32], modulus: u32) -> bool {
    weighted(&digits(text), weights).is_multiple_of(modulus)
}

/// Whether the last digit is `check(sum of the others times weights)`.
fn ends_with(text: &[u8], weights: &[u32], check: fn(u32) -> u32) -> bool {
    let digits = digits(text);
    digits
        .split_last()
        .is_some_and(|(last, body)| check(weighted(body, weights)) == u32::from(*last))
}

/// Whether digits `at..at+4` are month and day.
fn has_day(text: &[u8], month: usize, day: usize) -> bool {
    let digits = digits(text);
    is_day(&digits[month..month + 2], &digits[day..day + 2])
}

fn is_varied(text: &[u8]) -> bool {
    text.windows(2).any(|pair| pair[0] != pair[1])
}

/// Value of digits and letters in base 36.
fn base_36(byte: u8) -> u32 {
    if byte.is_ascii_digit() { u32::from(byte - b'0') } else { u32::from(byte) - 55 }
}

/// All of them, in the order of their ids.
pub(crate) const NATIONAL: &[National] = &[
    National {
        id: "pii-ar-cuit",
        description: "Argentine tax number (CUIT)",
        forms: &["99999999999", "99 99999999 9"],
        holds: |it| {
            let prefix = &it[..2];
            [&b"20"[..], b"23", b"24", b"27", b"30", b"33", b"34"].contains(&prefix)
                && ends_with(it, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2], |sum| (11 - sum % 11) % 11)
        },
        words: &["cuit", "cuil"],
        speaks_for_itself: true,
        reference: "https://www.argentina.gob.ar/anses/el-codigo-unico-de-identificacion-laboral-cuil",
    },
    National {
        id: "pii-at-svnr",
        description: "Austrian social insurance number",
        forms: &["9999999999", "9999 999999", "9999 99 99 99"],
        holds: |it| {
            let sum = weighted(&digits(it), &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]);
            it[0] != b'0' && has_day(it, 6, 4) && sum % 11 == u32::from(it[3] - b'0')
        },
        words: &["svnr", "sozialversicherung", "versicherungsnummer"],
        speaks_for_itself: false,
        reference: "https://www.gesundheit.gv.at/service/versicherung",
    },
    National {
        id: "pii-au-medicare",
        description: "Australian Medicare number",
        forms: &["9999999999", "9999 99999 9"],
        holds: |it| {
            let sum = weighted(&digits(it), &[1, 3, 7, 9, 1, 3, 7, 9]);
            (b'2'..=b'6').contains(&it[0]) && sum % 10 == u32::from(it[8] - b'0')
        },
        words: &["medicare"],
        speaks_for_itself: false,
        reference: "https://meteor.aihw.gov.au/content/270101",
    },
    National {
        id: "pii-au-tfn",
        description: "Australian tax file number",
        forms: &["999999999", "999 999 999"],
        holds: |it| is_varied(it) && sums_to(it, &[1, 4, 3, 7, 5, 8, 6, 9, 10], 11),
        words: &["tfn", "tax file"],
        speaks_for_itself: false,
        reference: "https://www.ato.gov.au/individuals-and-families/tax-file-number",
    },
    National {
        id: "pii-be-nrn",
        description: "Belgian national register number",
        forms: &["99999999999", "99 99 99 999 99"],
        holds: |it| {
            let all = digits(it);
            let check = all[9] as u64 * 10 + all[10] as u64;
            let old = 97 - remainder(&all[..9], 97);
            let new = 97 - remainder(&[&[2], &all[..9]].concat(), 97);
            has_day(it, 2, 4) && (check == old || check == new)
        },
        words: &["rijksregister", "registre national", "national register", "niss", "insz", "nrn"],
        speaks_for_itself: true,
        reference: "https://www.ibz.rrn.fgov.be/en/national-register",
    },
    National {
        id: "pii-bg-egn",
        description: "Bulgarian civil number (EGN)",
        forms: &["9999999999"],
        holds: |it| {
            let month = (it[2] - b'0') % 2 * 10 + it[3] - b'0';
            (1..=12).contains(&month)
                && is_day(&[0, 1], &digits(&it[4..6]))
                && ends_with(it, &[2, 4, 8, 5, 10, 9, 7, 3, 6], |sum| sum % 11 % 10)
        },
        words: &["egn", "егн"],
        speaks_for_itself: false,
        reference: "https://www.grao.bg/esgraon.html",
    },
    National {
        id: "pii-br-cpf",
        description: "Brazilian taxpayer number (CPF)",
        forms: &["99999999999", "999 999 999 99"],
        holds: |it| {
            let digit = |sum: u32| (sum * 10) % 11 % 10;
            let all = digits(it);
            let first = weighted(&all[..9], &[10, 9, 8, 7, 6, 5, 4, 3, 2]);
            let second = weighted(&all[..10], &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
            is_varied(it)
                && digit(first) == u32::from(all[9])
                && digit(second) == u32::from(all[10])
        },
        words: &["cpf"],
        speaks_for_itself: true,
        reference: "https://www.gov.br/receitafederal/pt-br/assuntos/meu-cpf",
    },
    National {
        id: "pii-ca-sin",
        description: "Canadian social insurance number",
        forms: &["999999999", "999 999 999"],
        holds: |it| !matches!(it[0], b'0' | b'8') && is_varied(it) && luhn(&digits(it)),
        words: &["sin", "social insurance", "nas", "assurance sociale"],
        speaks_for_itself: false,
        reference: "https://www.canada.ca/en/employment-social-development/services/sin.html",
    },
    National {
        id: "pii-ch-ahv",
        description: "Swiss social insurance number (AHV)",
        forms: &["9999999999999", "999 9999 9999 99"],
        holds: |it| {
            it.starts_with(b"756") && sums_to(it, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1], 10)
        },
        words: &["ahv", "avs"],
        speaks_for_itself: true,
        reference: "https://www.zas.admin.ch/zas/en/home/partenaires-et-institutions-/navs13.html",
    },
    National {
        id: "pii-cl-rut",
        description: "Chilean national number (RUT)",
        forms: &["99999999*", "9999999*", "99 999 999 *", "9 999 999 *", "99999999 *", "9999999 *"],
        holds: |it| {
            let Some((check, body)) = it.split_last() else { return false };
            let weights = [2, 3, 4, 5, 6, 7].into_iter().cycle();
            let sum: u32 = body.iter().rev().zip(weights).map(|(it, w)| base_36(*it) * w).sum();
            let expect = match 11 - sum % 11 {
                11 => b'0',
                10 => b'K',
                digit => b'0' + digit as u8,
            };
            is_varied(body) && *check == expect
        },
        words: &["rut", "rol único", "rol unico"],
        speaks_for_itself: false,
        reference: "https://www.sii.cl/ayudas/aprenda_sobre/3072-1-3078.html",
    },
    National {
        id: "pii-cn-resident",
        description: "Chinese resident identity number",
        forms: &["99999999999999999*"],
        holds: |it| {
            let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
            let check = b"10X98765432"[weighted(&digits(&it[..17]), &weights) as usize % 11];
            matches!(&it[6..8], b"19" | b"20") && has_day(&it[..17], 10, 12) && it[17] == check
        },
        words: &["身份证", "resident id", "identity card", "id card", "shenfenzheng"],
        speaks_for_itself: true,
        reference: "https://std.samr.gov.cn/gb/search/gbDetailed?id=71F772D80811D3A7E05397BE0A0AB82A",
    },
    National {
        id: "pii-cz-rc",
        description: "Czech or Slovak birth number",
        forms: &["9999999999", "999999 9999"],
        holds: |it| {
            let month = ((it[2] - b'0') * 10 + it[3] - b'0') % 50;
            (1..=12).contains(&(month % 20))
                && is_day(&[0, 1], &digits(&it[4..6]))
                && remainder(&digits(it), 11) == 0
        },
        words: &["rodné číslo", "rodne cislo", "rodné", "rodne", "birth number"],
        speaks_for_itself: false,
        reference: "https://www.zakonyprolidi.cz/cs/2000-133",
    },
    National {
        id: "pii-de-steuer-id",
        description: "German tax identification number",
        forms: &["99999999999", "99 999 999 999"],
        holds: |it| {
            let mut counts = [0; 10];
            it[..10].iter().for_each(|byte| counts[usize::from(byte - b'0')] += 1);
            let n_repeated = counts.iter().filter(|count| **count > 1).count();
            it[0] != b'0' && n_repeated == 1 && mod_11_10(&digits(it))
        },
        words: &["steuer", "idnr", "tax id", "tin"],
        speaks_for_itself: false,
        reference: "https://www.zfa.deutsche-rentenversicherung-bund.de",
    },
    National {
        id: "pii-dk-cpr",
        description: "Danish civil registration number",
        forms: &["9999999999", "999999 9999"],
        holds: |it| has_day(it, 2, 0) && sums_to(it, &[4, 3, 2, 7, 6, 5, 4, 3, 2, 1], 11),
        words: &["cpr", "personnummer"],
        speaks_for_itself: false,
        reference: "https://cpr.dk/cpr-systemet/opbygning-af-cpr-nummeret",
    },
    National {
        id: "pii-ee-isikukood",
        description: "Estonian or Lithuanian personal code",
        forms: &["99999999999"],
        holds: |it| {
            let first =
                |it: &[u8]| weighted(&digits(&it[..10]), &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
            let second =
                |it: &[u8]| weighted(&digits(&it[..10]), &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11;
            let check = if first(it) < 10 { first(it) } else { second(it) % 10 };
            (b'1'..=b'8').contains(&it[0]) && has_day(it, 3, 5) && check == u32::from(it[10] - b'0')
        },
        words: &["isikukood", "asmens kod", "personal code"],
        speaks_for_itself: false,
        reference: "https://www.riigiteataja.ee/akt/114032011006",
    },
    National {
        id: "pii-es-dni",
        description: "Spanish identity number (DNI or NIE)",
        forms: &["99999999A", "A9999999A", "99999999 A", "A 9999999 A", "99 999 999 A"],
        holds: |it| {
            let first = match it[0] {
                b'X' => b'0',
                b'Y' => b'1',
                b'Z' => b'2',
                digit => digit,
            };
            let body = [&[first], &it[1..8]].concat();
            body.iter().all(u8::is_ascii_digit)
                && is_varied(&body)
                && b"TRWAGMYFPDXBNJZSQVHLCKE"[remainder(&digits(&body), 23) as usize] == it[8]
        },
        words: &["dni", "nie", "nif", "documento"],
        speaks_for_itself: false,
        reference: "https://www.interior.gob.es/opencms/es/servicios-al-ciudadano/tramites-y-gestiones/dni",
    },
    National {
        id: "pii-fi-hetu",
        description: "Finnish personal identity code",
        forms: &["999999 999*"],
        holds: |it| {
            let number = [&it[..6], &it[6..9]].concat();
            let check = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
            has_day(&it[..9], 2, 0) && check[remainder(&digits(&number), 31) as usize] == it[9]
        },
        words: &["hetu", "henkilötunnus", "henkilotunnus", "personal identity code"],
        speaks_for_itself: true,
        reference: "https://dvv.fi/en/personal-identity-code",
    },
    National {
        id: "pii-fr-nir",
        description: "French social security number (NIR)",
        forms: &[
            "999999999999999",
            "9999999999999 99",
            "9 99 99 99 999 999 99",
            "9 99 99 99 999 999 999",
        ],
        holds: |it| {
            let all = digits(it);
            let month = all[3] * 10 + all[4];
            matches!(it[0], b'1' | b'2')
                && (matches!(month, 1..=12 | 20..=42 | 50..=99))
                && 97 - remainder(&all[..13], 97) == remainder(&all[13..], 1000)
        },
        words: &["nir", "insee", "sécurité sociale", "securite sociale", "sécu", "numéro de sécu"],
        speaks_for_itself: true,
        reference: "https://www.insee.fr/fr/metadonnees/definition/c1409",
    },
    National {
        id: "pii-gb-nhs",
        description: "British NHS number",
        forms: &["9999999999", "999 999 9999"],
        holds: |it| {
            is_varied(it)
                && ends_with(it, &[10, 9, 8, 7, 6, 5, 4, 3, 2], |sum| (11 - sum % 11) % 11)
        },
        words: &["nhs"],
        speaks_for_itself: false,
        reference: "https://www.datadictionary.nhs.uk/attributes/nhs_number.html",
    },
    National {
        id: "pii-gb-nino",
        description: "British national insurance number",
        forms: &["AA999999A", "AA 99 99 99 A"],
        holds: |it| {
            let is_used = |letter: &u8| !b"DFIQUV".contains(letter);
            let reserved = [&b"BG"[..], b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"];
            is_used(&it[0])
                && is_used(&it[1])
                && it[1] != b'O'
                && !reserved.contains(&&it[..2])
                && (b'A'..=b'D').contains(&it[8])
        },
        words: &["national insurance", "nino", "ni number"],
        speaks_for_itself: false,
        reference: "https://www.gov.uk/hmrc-internal-manuals/national-insurance-manual/nim39110",
    },
    National {
        id: "pii-gr-amka",
        description: "Greek social security number (AMKA)",
        forms: &["99999999999"],
        holds: |it| has_day(it, 2, 0) && luhn(&digits(it)),
        words: &["amka", "αμκα"],
        speaks_for_itself: false,
        reference: "https://www.amka.gr",
    },
    National {
        id: "pii-hk-id",
        description: "Hong Kong identity card number",
        forms: &["A999999*", "A999999 *"],
        holds: |it| {
            let sum: u32 =
                it[..7].iter().zip([8, 7, 6, 5, 4, 3, 2]).map(|(b, w)| base_36(*b) * w).sum();
            // Two letters are usual only in old cards; a missing one counts as 36.
            let check = (11 - (sum + 36 * 9) % 11) % 11;
            it[7] == if check == 10 { b'A' } else { b'0' + check as u8 }
        },
        words: &["hkid", "hong kong id"],
        speaks_for_itself: false,
        reference: "https://www.immd.gov.hk/eng/services/hkid/smartid.html",
    },
    National {
        id: "pii-hr-oib",
        description: "Croatian personal number (OIB)",
        forms: &["99999999999"],
        holds: |it| is_varied(it) && mod_11_10(&digits(it)),
        words: &["oib"],
        speaks_for_itself: false,
        reference: "https://www.porezna-uprava.hr/HR_OIB/Stranice/default.aspx",
    },
    National {
        id: "pii-ie-pps",
        description: "Irish personal public service number",
        forms: &["9999999A", "9999999AA", "9999999 A"],
        holds: |it| {
            let extra = it.get(8).map_or(0, |letter| u32::from(letter - b'A' + 1) * 9);
            let sum = weighted(&digits(&it[..7]), &[8, 7, 6, 5, 4, 3, 2]) + extra;
            it[7] == b"WABCDEFGHIJKLMNOPQRSTUV"[sum as usize % 23]
        },
        words: &["pps", "ppsn", "personal public service"],
        speaks_for_itself: false,
        reference: "https://www.gov.ie/en/department-of-social-protection/services/get-a-personal-public-service-pps-number/",
    },
    National {
        id: "pii-il-id",
        description: "Israeli identity number",
        forms: &["999999999", "99999999 9"],
        holds: |it| is_varied(it) && luhn(&digits(it)),
        words: &["teudat", "zehut", "israeli id", "תעודת זהות", "ת.ז"],
        speaks_for_itself: false,
        reference: "https://www.gov.il/en/departments/general/id_card_definition",
    },
    National {
        id: "pii-in-aadhaar",
        description: "Indian Aadhaar number",
        forms: &["999999999999", "9999 9999 9999"],
        holds: |it| !matches!(it[0], b'0' | b'1') && is_varied(it) && verhoeff(&digits(it)),
        words: &["aadhaar", "aadhar", "uidai", "आधार"],
        speaks_for_itself: true,
        reference: "https://uidai.gov.in/en/my-aadhaar/about-your-aadhaar.html",
    },
    National {
        id: "pii-it-cf",
        description: "Italian tax code (codice fiscale)",
        forms: &["AAAAAA99A99A999A"],
        holds: |it| {
            const ODD: [u32; 26] = [
                1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22,
                25, 24, 23,
            ];
            let value =
                |byte: u8| usize::from(byte - if byte.is_ascii_digit() { b'0' } else { b'A' });
            let sum: u32 = it[..15]
                .iter()
                .enumerate()
                .map(
                    |(idx, byte)| {
                        if idx % 2 == 0 { ODD[value(*byte)] } else { value(*byte) as u32 }
                    },
                )
                .sum();
            b"ABCDEHLMPRST".contains(&it[8]) && u32::from(it[15] - b'A') == sum % 26
        },
        words: &["codice fiscale", "cf"],
        speaks_for_itself: true,
        reference: "https://www.agenziaentrate.gov.it/portale/codice-fiscale",
    },
    National {
        id: "pii-jp-my-number",
        description: "Japanese individual number (My Number)",
        forms: &["999999999999", "9999 9999 9999"],
        holds: |it| {
            is_varied(it)
                && ends_with(it, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2], |sum| match sum % 11 {
                    0 | 1 => 0,
                    rest => 11 - rest,
                })
        },
        words: &["my number", "mynumber", "マイナンバー", "個人番号"],
        speaks_for_itself: false,
        reference: "https://www.digital.go.jp/en/policies/mynumber",
    },
    National {
        id: "pii-kr-rrn",
        description: "Korean resident registration number",
        forms: &["9999999999999", "999999 9999999"],
        holds: |it| {
            has_day(it, 2, 4)
                && ends_with(it, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5], |sum| (11 - sum % 11) % 10)
        },
        words: &["rrn", "resident registration", "주민등록번호", "주민"],
        speaks_for_itself: true,
        reference: "https://www.law.go.kr/LSW/eng/engMain.do",
    },
    National {
        id: "pii-mx-curp",
        description: "Mexican population register code (CURP)",
        forms: &["AAAA999999AAAAAA*9"],
        holds: |it| {
            // The alphabet of the scheme has Ñ between N and O.
            let value = |byte: u8| base_36(byte) + u32::from(byte > b'N');
            let sum: u32 = it[..17]
                .iter()
                .zip((2..=18).rev())
                .map(|(byte, weight)| value(*byte) * weight)
                .sum();
            is_day(&digits(&it[6..8]), &digits(&it[8..10]))
                && matches!(it[10], b'H' | b'M' | b'X')
                && (10 - sum % 10) % 10 == u32::from(it[17] - b'0')
        },
        words: &["curp"],
        speaks_for_itself: true,
        reference: "https://www.gob.mx/segob/renapo/acciones-y-programas/clave-unica-de-registro-de-poblacion-curp-142226",
    },
    National {
        id: "pii-nl-bsn",
        description: "Dutch citizen service number (BSN)",
        forms: &["999999999", "9999 99 999", "999 999 999"],
        holds: |it| {
            let sum = weighted(&digits(it), &[9, 8, 7, 6, 5, 4, 3, 2]);
            is_varied(it) && sum % 11 == u32::from(it[8] - b'0')
        },
        words: &["bsn", "burgerservicenummer", "sofinummer"],
        speaks_for_itself: false,
        reference: "https://www.government.nl/topics/personal-data/citizen-service-number-bsn",
    },
    National {
        id: "pii-no-fnr",
        description: "Norwegian national identity number",
        forms: &["99999999999", "999999 99999"],
        holds: |it| {
            let digit = |sum: u32| (11 - sum % 11) % 11;
            let all = digits(it);
            has_day(it, 2, 0)
                && digit(weighted(&all[..9], &[3, 7, 6, 1, 8, 9, 4, 5, 2])) == u32::from(all[9])
                && digit(weighted(&all[..10], &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]))
                    == u32::from(all[10])
        },
        words: &["fødselsnummer", "fodselsnummer", "personnummer", "fnr"],
        speaks_for_itself: true,
        reference: "https://www.skatteetaten.no/en/person/national-registry/identitetsnummer/",
    },
    National {
        id: "pii-pl-pesel",
        description: "Polish PESEL number",
        forms: &["99999999999"],
        holds: |it| {
            let month = ((it[2] - b'0') * 10 + it[3] - b'0') % 20;
            (1..=12).contains(&month)
                && is_day(&[0, 1], &digits(&it[4..6]))
                && sums_to(it, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1], 10)
        },
        words: &["pesel"],
        speaks_for_itself: false,
        reference: "https://www.gov.pl/web/gov/czym-jest-numer-pesel",
    },
    National {
        id: "pii-pt-nif",
        description: "Portuguese tax number (NIF)",
        forms: &["999999999", "999 999 999"],
        holds: |it| {
            b"1235689".contains(&it[0])
                && ends_with(it, &[9, 8, 7, 6, 5, 4, 3, 2], |sum| match sum % 11 {
                    0 | 1 => 0,
                    rest => 11 - rest,
                })
        },
        words: &["nif", "contribuinte"],
        speaks_for_itself: false,
        reference: "https://www.portaldasfinancas.gov.pt",
    },
    National {
        id: "pii-ro-cnp",
        description: "Romanian personal number (CNP)",
        forms: &["9999999999999"],
        holds: |it| {
            (b'1'..=b'8').contains(&it[0])
                && has_day(it, 3, 5)
                && ends_with(it, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9], |sum| {
                    if sum % 11 == 10 { 1 } else { sum % 11 }
                })
        },
        words: &["cnp", "cod numeric"],
        speaks_for_itself: false,
        reference: "https://legislatie.just.ro/Public/DetaliiDocument/52822",
    },
    National {
        id: "pii-se-personnummer",
        description: "Swedish personal number",
        forms: &["9999999999", "999999 9999", "99999999 9999", "999999999999"],
        holds: |it| {
            let short = &it[it.len() - 10..];
            let is_century = it.len() == 10 || matches!(&it[..2], b"19" | b"20");
            is_century && has_day(short, 2, 4) && luhn(&digits(short))
        },
        words: &["personnummer", "personnr", "swedish id"],
        speaks_for_itself: false,
        reference: "https://www.skatteverket.se/privat/folkbokforing/personnummer.4.3810a01c150939e893f18c29.html",
    },
    National {
        id: "pii-sg-nric",
        description: "Singapore identity number (NRIC or FIN)",
        forms: &["A9999999A"],
        holds: |it| {
            let sum = weighted(&digits(&it[1..8]), &[2, 7, 6, 5, 4, 3, 2]);
            let letters = match it[0] {
                b'S' | b'T' => b"JZIHGFEDCBA",
                b'F' | b'G' => b"XWUTRQPNMLK",
                _ => return false,
            };
            let sum = sum + if matches!(it[0], b'T' | b'G') { 4 } else { 0 };
            it[8] == letters[sum as usize % 11]
        },
        words: &["nric", "singapore id"],
        speaks_for_itself: false,
        reference: "https://www.ica.gov.sg/documents/ic",
    },
    National {
        id: "pii-tr-tckn",
        description: "Turkish identity number",
        forms: &["99999999999"],
        holds: |it| {
            let all: Vec<u32> = digits(it).into_iter().map(u32::from).collect();
            let odd: u32 = all.iter().step_by(2).take(5).sum();
            let even: u32 = all.iter().skip(1).step_by(2).take(4).sum();
            it[0] != b'0'
                && (odd * 7 + 100 - even) % 10 == all[9]
                && all[..10].iter().sum::<u32>() % 10 == all[10]
        },
        words: &["tckn", "tc kimlik", "kimlik"],
        speaks_for_itself: false,
        reference: "https://www.nvi.gov.tr",
    },
    National {
        id: "pii-tw-id",
        description: "Taiwanese identity number",
        forms: &["A999999999"],
        holds: |it| {
            const VALUES: &[u8; 26] = b"\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x22\x12\x13\x14\x15\x16\x23\x17\x18\x19\x1a\x1b\x1c\x1d\x20\x1e\x1f\x21";
            let first = u32::from(VALUES[usize::from(it[0] - b'A')]);
            let sum = first / 10
                + first % 10 * 9
                + weighted(&digits(&it[1..]), &[8, 7, 6, 5, 4, 3, 2, 1, 1]);
            matches!(it[1], b'1' | b'2' | b'8' | b'9') && sum.is_multiple_of(10)
        },
        words: &["taiwan id", "身分證", "national id"],
        speaks_for_itself: false,
        reference: "https://www.ris.gov.tw",
    },
    National {
        id: "pii-us-npi",
        description: "US national provider identifier",
        forms: &["9999999999"],
        holds: |it| matches!(it[0], b'1' | b'2') && luhn(&digits(&[b"80840", it].concat())),
        words: &["npi", "provider identifier"],
        speaks_for_itself: false,
        reference: "https://www.cms.gov/Regulations-and-Guidance/Administrative-Simplification/NationalProvIdentStand",
    },
    National {
        id: "pii-us-ssn",
        description: "US social security number",
        forms: &["999999999", "999 99 9999"],
        holds: |it| {
            let area = &it[..3];
            !matches!(area, b"000" | b"666")
                && it[0] != b'9'
                && &it[3..5] != b"00"
                && &it[5..] != b"0000"
                && is_varied(it)
                && !matches!(it, b"123456789" | b"078051120" | b"219099999")
        },
        words: &["ssn", "social security", "social sec", "ss#", "ss number"],
        speaks_for_itself: true,
        reference: "https://www.ssa.gov/employer/randomization.html",
    },
    National {
        id: "pii-za-id",
        description: "South African identity number",
        forms: &["9999999999999", "999999 9999 999", "999999 9999 99 9"],
        holds: |it| has_day(it, 2, 4) && matches!(it[10], b'0' | b'1') && luhn(&digits(it)),
        words: &["south african id", "rsa id", "sa id", "id number"],
        speaks_for_itself: false,
        reference: "https://www.dha.gov.za/index.php/identity-documents2",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Published examples, in pieces so that no scanner takes this file for personal data.
    const EXAMPLES: &[(&str, &[&str])] = &[
        ("pii-ar-cuit", &["20", "05536168", "2"]),
        ("pii-at-svnr", &["1237", "010180"]),
        ("pii-au-medicare", &["2123", "45670", "1"]),
        ("pii-au-tfn", &["123", "456", "782"]),
        ("pii-be-nrn", &["850730", "03328"]),
        ("pii-bg-egn", &["75231", "69263"]),
        ("pii-br-cpf", &["111", "444", "777", "35"]),
        ("pii-ca-sin", &["130", "692", "544"]),
        ("pii-ch-ahv", &["756", "9217", "0769", "85"]),
        ("pii-cl-rut", &["12531", "9092"]),
        ("pii-cn-resident", &["110105", "19491231", "002X"]),
        ("pii-cz-rc", &["710319", "2745"]),
        ("pii-de-steuer-id", &["36574", "261809"]),
        ("pii-dk-cpr", &["211062", "5629"]),
        ("pii-ee-isikukood", &["36805", "280109"]),
        ("pii-es-dni", &["12345", "678Z"]),
        ("pii-es-dni", &["X1234", "567L"]),
        ("pii-fi-hetu", &["131052", "308T"]),
        ("pii-fr-nir", &["2951099", "12611193"]),
        ("pii-gb-nhs", &["943", "476", "5919"]),
        ("pii-gb-nino", &["AA", "123456", "A"]),
        ("pii-gr-amka", &["01013", "099997"]),
        ("pii-hk-id", &["A123", "4563"]),
        ("pii-hr-oib", &["33392", "005961"]),
        ("pii-ie-pps", &["12345", "67T"]),
        ("pii-il-id", &["0393", "37423"]),
        ("pii-in-aadhaar", &["2341", "2341", "2346"]),
        ("pii-it-cf", &["RSSMRA", "85T10A562S"]),
        ("pii-jp-my-number", &["1234", "5678", "9018"]),
        ("pii-kr-rrn", &["971013", "9019902"]),
        ("pii-mx-curp", &["HEGG560427", "MVZRRL04"]),
        ("pii-nl-bsn", &["1112", "22333"]),
        ("pii-pl-pesel", &["44051", "401359"]),
        ("pii-pt-nif", &["5019", "64843"]),
        ("pii-ro-cnp", &["163061", "5123457"]),
        ("pii-se-personnummer", &["880320", "0016"]),
        ("pii-sg-nric", &["S1234", "567D"]),
        ("pii-tr-tckn", &["10000", "000146"]),
        ("pii-tw-id", &["A1234", "56789"]),
        ("pii-us-npi", &["12345", "67893"]),
        ("pii-us-ssn", &["536", "90", "4399"]),
        ("pii-za-id", &["750330", "5044089"]),
    ];

    #[test]
    fn every_entry_holds_for_its_published_example_and_not_for_its_neighbours() {
        for (id, pieces) in EXAMPLES {
            let entry = NATIONAL.iter().find(|it| it.id == *id).unwrap();
            let example = pieces.concat();
            assert!((entry.holds)(example.as_bytes()), "{id}");
            // Identifiers with a check digit notice most changes of one digit; these two have none.
            if ["pii-us-ssn", "pii-gb-nino"].contains(id) {
                continue;
            }
            let changed = |idx: usize| {
                let mut bytes = example.clone().into_bytes();
                let is_digit = bytes[idx].is_ascii_digit();
                bytes[idx] =
                    if is_digit { b'0' + (bytes[idx] - b'0' + 1) % 10 } else { bytes[idx] };
                is_digit && (entry.holds)(&bytes)
            };
            let n_unnoticed = (0..example.len()).filter(|idx| changed(*idx)).count();
            assert!(n_unnoticed <= 1, "{id}: {n_unnoticed} changes unnoticed");
        }
    }

    #[test]
    fn ids_are_sorted_and_forms_are_of_one_alphabet() {
        assert!(NATIONAL.is_sorted_by_key(|it| it.id));
        assert!(NATIONAL.len() >= 20);
        for entry in NATIONAL {
            assert!(
                !entry.words.is_empty() && entry.reference.starts_with("https://"),
                "{}",
                entry.id
            );
            for form in entry.forms {
                assert!(form.bytes().all(|byte| b"9A* ".contains(&byte)), "{}", entry.id);
            }
        }
    }
}
