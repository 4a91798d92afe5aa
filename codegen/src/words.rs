//! How messages quote, list and suggest words.

/// The longest text that a message repeats, in characters.
const MAXIMUM_QUOTED: usize = 60;

/// A text in backticks, control characters escaped, cut when long.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from("`");
    for (position, character) in text.chars().enumerate() {
        if position == MAXIMUM_QUOTED {
            quoted.push('…');
            break;
        }
        if character.is_control()
            || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        {
            quoted.extend(character.escape_unicode());
        } else {
            quoted.push(character);
        }
    }
    quoted.push('`');
    quoted
}

/// Words in backticks: `a`, `b` and `c`.
pub(crate) fn list<W: AsRef<str>>(words: &[W], last: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word.as_ref())).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [init @ .., end] => format!("{} {last} {end}", init.join(", ")),
    }
}

/// The known word that was probably meant.
pub(crate) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    if word.chars().count() > MAXIMUM_QUOTED {
        return None;
    }
    let normal = |text: &str| -> Vec<char> {
        text.chars()
            .filter(|c| !matches!(c, '_' | '-' | ' '))
            .flat_map(char::to_lowercase)
            .collect()
    };
    let wanted = normal(word);
    known
        .into_iter()
        .filter_map(|candidate| {
            let letters = normal(candidate);
            let distance = distance(&wanted, &letters);
            let near = distance * 3 <= wanted.len().max(letters.len()).max(3);
            // The beginning of a word was meant as the word.
            let begun = wanted.len() >= 3 && letters.starts_with(&wanted);
            (near || begun).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The number of letters to insert, remove, replace or swap with their neighbour (the restricted
/// Damerau–Levenshtein distance).
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut best = (previous[j] + usize::from(a != b))
                .min(previous[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut previous, row);
    }
    previous[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_that_was_meant_is_found() {
        #[track_caller]
        fn check(word: &str, expect: Option<&str>) {
            let known = ["data_selector", "paginator", "path", "params", "method"];
            assert_eq!(nearest(word, known), expect);
        }
        check("dataSelector", Some("data_selector"));
        check("data-selecter", Some("data_selector"));
        check("pagniator", Some("paginator"));
        check("PATH", Some("path"));
        check("param", Some("params"));
        check("pag", Some("paginator"));
        check("pa", None);
        check("elephant", None);
        check("", None);
    }

    #[test]
    fn quoted_text_is_short_and_harmless() {
        assert_eq!(quote("a\u{1b}[31m"), "`a\\u{1b}[31m`");
        assert_eq!(quote(&"x".repeat(100)).chars().count(), 63);
        assert_eq!(list(&["a", "b", "c"], "or"), "`a`, `b` or `c`");
        assert_eq!(list(&["a"], "or"), "`a`");
        assert_eq!(list::<&str>(&[], "or"), "");
    }
}
