//! The bounds on one parse. Past a bound the rest is left out and a problem says so.

/// Largest source that is parsed, in bytes. Larger files are generated; they yield a problem and nothing else.
pub const SOURCE_BYTES_MAX: usize = 4 << 20;
/// Most symbols kept of one file.
pub const SYMBOLS_MAX: usize = 100_000;
/// Most calls kept of one file.
pub const CALLS_MAX: usize = 400_000;
/// Most imports kept of one file.
pub const IMPORTS_MAX: usize = 20_000;
/// Most problems listed for one file.
pub const PROBLEMS_MAX: usize = 64;
/// Longest name kept, in bytes; what is longer is cut at a character.
pub const NAME_BYTES_MAX: usize = 256;
/// Longest container path kept, in bytes; deeper scopes share the path of the last that fitted.
pub const CONTAINER_BYTES_MAX: usize = 512;
/// Longest receiver text kept, in bytes.
pub const RECEIVER_BYTES_MAX: usize = 96;
/// Longest signature kept, in bytes.
pub const SIGNATURE_BYTES_MAX: usize = 240;
/// Longest text kept of the comment above a definition, in bytes.
pub const DOC_BYTES_MAX: usize = 600;
/// Most supertypes kept of one file.
pub const BASES_MAX: usize = 100_000;
/// Most facts about types kept of one file.
pub const TYPES_MAX: usize = 100_000;
/// Longest text of what a receiver or a definition is, in bytes; a longer one is not known.
pub const EXPRESSION_BYTES_MAX: usize = 240;
/// Longest declared type kept, in bytes.
pub const TYPE_BYTES_MAX: usize = 160;
/// Most different things that one name is given before it is not known.
pub(crate) const VALUES_MAX: usize = 4;
/// Most steps in one expression.
pub(crate) const STEPS_MAX: usize = 16;
/// Most nodes looked at in one pattern for the names it binds.
pub(crate) const PATTERN_NODES_MAX: usize = 1_000;
/// Most nested functions looked through for a local name.
pub(crate) const SCOPES_MAX: usize = 64;
/// Most macro bodies read again as expressions in one file.
pub(crate) const MACRO_BODIES_MAX: usize = 20_000;
/// Most macros inside macros that are read again.
pub(crate) const MACRO_DEPTH_MAX: u32 = 6;
/// Most rules of macros kept of one file.
pub const RULES_MAX: usize = 10_000;
/// Most invocations kept of one file, and arguments of one.
pub const INVOCATIONS_MAX: usize = 20_000;
/// Most tokens looked at in one rule of a macro, and in one invocation.
pub(crate) const MACRO_TOKENS_MAX: usize = 100_000;
/// Progress reports of the parser (about one per hundred steps) granted per parse, beside one per byte.
pub(crate) const PARSER_REPORTS_BASE: u64 = 10_000;
