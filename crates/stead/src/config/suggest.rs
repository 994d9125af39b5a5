//! "Did you mean": the known word nearest to a mistyped one.

/// The candidate that differs least, if it differs little enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong: `nod` is `node`, but `cat` is not `dog`.
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete, replace or swap with their neighbour to make one word of the other.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for row in 1..=left.len() {
        let mut current = vec![row];
        for column in 1..=right.len() {
            let replace = usize::from(left[row - 1] != right[column - 1]);
            let mut best = (last[column - 1] + replace).min(last[column] + 1).min(current[column - 1] + 1);
            let swapped = row > 1
                && column > 1
                && left[row - 1] == right[column - 2]
                && left[row - 2] == right[column - 1];
            if swapped {
                let before: &Vec<usize> = &before_last;
                best = best.min(before[column - 2] + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_slips_find_the_word_that_was_meant() {
        let check = |word: &str, expected: Option<&str>| {
            let known = ["instances", "grace", "node", "ready", "ready_timeout", "listen"];
            assert_eq!(nearest(word, known), expected, "{word}");
        };
        check("instnaces", Some("instances"));
        check("instance", Some("instances"));
        check("grase", Some("grace"));
        check("nod", Some("node"));
        check("noed", Some("node"));
        check("raedy", Some("ready"));
        check("ready_timout", Some("ready_timeout"));
        check("port", None);
        check("", None);
        check("node", None);
    }
}
