//! Which services a policy is about.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A service name in which `*` stands for any run of characters, the empty one too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

impl ServiceGlob {
    /// Whether there is a name that both match.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (a, b): (Vec<char>, Vec<char>) = (self.0.chars().collect(), other.0.chars().collect());
        // `reached[j]` says whether the first `i` characters of one and the first `j` of the other can stand for the
        // same text.
        let mut reached = vec![false; b.len() + 1];
        reached[0] = true;
        for j in 0..b.len() {
            reached[j + 1] = reached[j] && b[j] == '*';
        }
        for &left in &a {
            let mut next = vec![false; b.len() + 1];
            next[0] = reached[0] && left == '*';
            for (j, &right) in b.iter().enumerate() {
                next[j + 1] = match (left, right) {
                    ('*', _) | (_, '*') => next[j] || reached[j + 1],
                    (left, right) => left == right && reached[j],
                };
            }
            reached = next;
        }
        reached[b.len()]
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
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

    #[test]
    fn two_patterns_overlap_when_a_name_matches_both() {
        for (a, b, want) in [
            ("cart", "cart", true),
            ("cart", "carts", false),
            ("cart*", "*shop", true),
            ("cart*", "shop*", false),
            ("*", "", true),
            ("a*b", "ab", true),
            ("a*b", "*c", false),
            ("*a*", "b*b", true),
            ("*.shop", "cart.*", true),
            ("a", "**", true),
        ] {
            assert_eq!(ServiceGlob::new(a).overlaps(&ServiceGlob::new(b)), want, "{a} and {b}");
            assert_eq!(ServiceGlob::new(b).overlaps(&ServiceGlob::new(a)), want, "{b} and {a}");
        }
    }
}
