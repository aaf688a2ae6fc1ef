//! Many questions asked at once: with twenty, one answer in twenty is wrong by chance.

/// Holm's correction: each p raised so that the chance of even one false alarm among all stays what it says.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![1.0; p.len()];
    let mut least = 0.0f64;
    for (rank, &index) in order.iter().enumerate() {
        least = least.max(p[index] * (p.len() - rank) as f64).min(1.0);
        adjusted[index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use ringkeep_bench::random::Stream;

    use super::*;

    #[test]
    fn a_worked_example() {
        let found = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in found.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
        }
        assert_eq!(holm(&[0.2]), [0.2]);
        assert_eq!(holm(&[]), [0.0; 0]);
    }

    #[test]
    fn nothing_shrinks_and_the_order_stays() {
        let random = Stream::new(1, "holm", 0);
        for round in 0..100 {
            let mut draws = random.at(round);
            let p: Vec<f64> = (0..12).map(|_| draws.unit()).collect();
            let adjusted = holm(&p);
            for i in 0..p.len() {
                assert!(adjusted[i] >= p[i] && adjusted[i] <= 1.0);
                for j in 0..p.len() {
                    assert!(p[i] > p[j] || adjusted[i] <= adjusted[j]);
                }
            }
        }
    }

    #[test]
    fn twenty_true_nulls_rarely_raise_one_alarm() {
        let random = Stream::new(2, "holm", 0);
        let rounds = 1000;
        let alarms = (0..rounds).filter(|round| {
            let mut draws = random.at(*round);
            let p: Vec<f64> = (0..20).map(|_| draws.unit()).collect();
            holm(&p).iter().any(|p| *p <= 0.05)
        });
        let alarms = alarms.count();
        assert!(alarms <= 75, "{alarms} of {rounds}");
    }
}
