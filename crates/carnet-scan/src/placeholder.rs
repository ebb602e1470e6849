//! Values that stand for a secret: `changeme`, `<password>`, `${TOKEN}`, `xxxx`.
//!
//! The words are long or framed so that a random token holds one by chance less than once in a million.

/// A value that holds one of these, in any ASCII case, is no secret.
const HOLDS: [&[u8]; 31] = [
    b"example",
    b"placeholder",
    b"changeme",
    b"change_me",
    b"change-me",
    b"replaceme",
    b"replace_me",
    b"replace-me",
    b"redacted",
    b"xxxx",
    b"****",
    b"...",
    b"####",
    b"your_",
    b"your-",
    b"yourpass",
    b"yourtoken",
    b"yourkey",
    b"yoursecret",
    b"insert_",
    b"insert-",
    b"fill_me",
    b"dummy_",
    b"dummy-",
    b"not-a-real",
    b"notreal",
    b"_goes_here",
    b"-goes-here",
    b"tokenhere",
    b"keyhere",
    b"secrethere",
];

/// A value that holds one of these is an expression of some language, not a value.
const FRAMES: [&[u8]; 6] = [b"${", b"{{", b"$(", b"#{", b"<%", b"<your"];

/// Tells whether `secret` stands for a secret rather than being one.
pub(crate) fn is_placeholder(secret: &[u8]) -> bool {
    let lower = secret.to_ascii_lowercase();
    let holds = |word: &&[u8]| memchr::memmem::find(&lower, word).is_some();
    HOLDS.iter().any(&holds)
        || FRAMES.iter().any(&holds)
        || is_framed(&lower)
        || has_named_format(&lower)
}

/// Tells whether the value holds a named format of Python: `%(name)s`.
fn has_named_format(value: &[u8]) -> bool {
    memchr::memmem::find(value, b"%(").is_some_and(|at| {
        let rest = &value[at + 2..];
        let name =
            rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        name > 0 && rest[name..].starts_with(b")s")
    })
}

/// Tells whether the whole value is one `<name>`, `{name}`, `[name]`, `$name` or `%name%`.
fn is_framed(value: &[u8]) -> bool {
    let inner = match value {
        [b'<', inner @ .., b'>'] | [b'{', inner @ .., b'}'] | [b'[', inner @ .., b']'] => inner,
        [b'%', inner @ .., b'%'] | [b'$', inner @ ..] => inner,
        _ => return false,
    };
    let is_name_byte = |byte: &u8| byte.is_ascii_alphabetic() || b"_-. :".contains(byte);
    !inner.is_empty() && inner.iter().all(is_name_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(secret: &str, expect: bool) {
        assert_eq!(is_placeholder(secret.as_bytes()), expect, "{secret}");
    }

    #[test]
    fn words_that_stand_for_a_secret() {
        for word in
            ["changeme", "<password>", "${DB_PASSWORD}", "{{ token }}", "xxxxxxxx", "your-api-key"]
        {
            check(word, true);
        }
        for word in
            ["$PASSWORD", "%PASSWORD%", "{password}", "[REDACTED:jwt]", "****", "%(password)s"]
        {
            check(word, true);
        }
    }
    #[test]
    fn values_that_may_be_secrets() {
        for word in ["hunter2", "$2a$10$abc", "Tr0ub4dor&3", "p<a>s", "", "$", "<>", "a%20b"] {
            check(word, false);
        }
    }
}
