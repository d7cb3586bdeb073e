//! Which services a policy is about.
use serde::{Deserialize, Serialize};

/// A service name in which `*` stands for any run of characters, the empty one too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceGlob(String);

impl ServiceGlob {
    /// Takes the pattern as it stands.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// Whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        let mut pieces = self.0.split('*');
        let Some(mut rest) = name.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
        let Some(last) = pieces.next_back() else { return rest.is_empty() };
        // The leftmost place for each piece leaves the most for the pieces after it.
        for piece in pieces {
            match rest.find(piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run_of_characters() {
        let cases = [
            ("cart", "cart", true),
            ("cart", "carts", false),
            ("*", "", true),
            ("*", "cart.shop", true),
            ("cart*", "cart.shop", true),
            ("*.shop", "cart.shop", true),
            ("*.shop", "shop", false),
            ("c*t.s*p", "cart.shop", true),
            ("a*a", "a", false),
            ("a*b*b", "ab", false),
            ("*ab*ab", "abab", true),
            ("Cart", "cart", false),
        ];
        for (pattern, name, want) in cases {
            assert_eq!(ServiceGlob::new(pattern).matches(name), want, "{pattern} on {name}");
        }
    }
}
