//! What someone probably meant.

/// The candidates closest to `word`, best first, at most `count`.
pub fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
    count: usize,
) -> Vec<&'c str> {
    let mut ranked: Vec<(usize, &str)> = candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(distance, candidate)| {
            let longer = word.len().max(candidate.len());
            distance * 2 <= longer || candidate.contains(word)
        })
        .collect();
    ranked.sort();
    ranked.dedup();
    ranked
        .into_iter()
        .take(count)
        .map(|(_, candidate)| candidate)
        .collect()
}

/// Adds the likely word to serde's list of expected ones.
pub fn explain(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let unknown = ["unknown field", "unknown variant"]
        .iter()
        .any(|kind| message.contains(kind));
    match quoted.split_first() {
        Some((word, expected)) if unknown => {
            match nearest(word, expected.iter().copied(), 1).first() {
                Some(likely) => format!("{}\ndid you mean `{likely}`?", message.trim_end()),
                None => message.trim_end().to_string(),
            }
        }
        _ => message.trim_end().to_string(),
    }
}

/// Insertions, deletions and replacements between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likely_word_comes_first() {
        let words = [
            "bench/load/concurrent_readers_1000",
            "ycsb/a",
            "dbbench/fillseq",
        ];
        assert_eq!(
            nearest("bench/load/concurent_readers", words, 1),
            [words[0]]
        );
        assert_eq!(nearest("fillseq", words, 1), [words[2]]);
        assert!(nearest("zzz", words, 3).is_empty());
    }

    #[test]
    fn a_misspelt_field_is_explained() {
        let message = "unknown field `wieght`, expected one of `op`, `weight`, `keys`";
        assert!(explain(message).ends_with("did you mean `weight`?"));
    }
}
