//! What a forecaster remembers of its series: the last season step by step, a profile over many seasons, and levels over
//! several spans, all in model scale and in a fixed number of bytes.
use super::scale::{Code, GAP, decode, encode};

/// Most slots of the profile; a day of 1-minute steps has one for every 5 minutes.
const SLOTS: usize = 288;

/// Values of which the recent median is taken.
const RECENT: usize = 12;

/// Steps kept at least, also without a season: error paths need them.
const LEAST_KEPT: usize = 512;

/// Gaps up to this long are bridged by the levels; after a longer one the short levels start again at the first value.
pub(super) const BRIDGED: u64 = 6;

/// Age that the levels go back to when they have to hurry.
const HURRIED: u32 = 8;

/// Rates of the levels.
const FAST: f32 = 0.4;
const MIDDLE: f32 = 0.15;
const SLOW: f32 = 0.04;
/// Rate of the long level without a season, and its slowest one with a season.
const LONG: f32 = 1.0 / 192.0;
const SLOWEST: f32 = 1.0 / 720.0;

/// Rate of the profile for each season.
const PROFILE: f32 = 0.3;

/// Rate of the slope.
const SLOPE: f32 = 0.02;

/// Levels over several spans, in model scale. All are those of one origin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Levels {
    pub(super) last: f32,
    pub(super) before: f32,
    pub(super) fast: f32,
    pub(super) middle: f32,
    pub(super) slow: f32,
    pub(super) long: f32,
    pub(super) median: f32,
    /// Change of the slow level for each step.
    pub(super) slope: f32,
}

impl Levels {
    pub(super) const UNKNOWN: Self = Self {
        last: f32::NAN,
        before: f32::NAN,
        fast: f32::NAN,
        middle: f32::NAN,
        slow: f32::NAN,
        long: f32::NAN,
        median: f32::NAN,
        slope: 0.0,
    };
}

/// [`Levels`] as they are kept for each origin whose targets are still to come.
#[derive(Clone, Copy, Debug)]
struct Kept([Code; 8]);

/// Slopes are small; kept so many times larger.
const SLOPE_SCALE: f32 = 64.0;

impl Kept {
    const NONE: Self = Self([GAP; 8]);

    fn of(levels: &Levels) -> Self {
        let Levels { last, before, fast, middle, slow, long, median, slope } = *levels;
        Self([last, before, fast, middle, slow, long, median, slope * SLOPE_SCALE].map(encode))
    }

    fn levels(self) -> Levels {
        let [last, before, fast, middle, slow, long, median, slope] = self.0.map(decode);
        Levels { last, before, fast, middle, slow, long, median, slope: slope / SLOPE_SCALE }
    }
}

/// What the past seasons say about a target and about the origin, in model scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seasonal {
    /// One season before the target.
    pub(super) same: f32,
    /// Mean around that.
    pub(super) around: f32,
    /// Profile at the target.
    pub(super) profile: f32,
    /// Mean around one season before the origin.
    pub(super) around_now: f32,
    /// Profile at the origin.
    pub(super) profile_now: f32,
}

/// What past seasons say about an origin, in model scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SeasonNow {
    origin: u64,
    around: f32,
    profile: f32,
}

fn or(value: f32, other: f32) -> f32 {
    if value.is_nan() { other } else { value }
}

/// What a forecaster remembers.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    season: usize,
    /// Steps seen, gaps included; the index of the step to come.
    pub(super) steps: u64,
    /// Index of the oldest step that is still meaningful.
    oldest: u64,
    /// Steps since the newest value.
    pub(super) silent: u64,
    pub(super) observed: u64,
    ring: Box<[Code]>,
    /// Place of the step to come.
    head: usize,
    profile: Box<[Code]>,
    slot_width: usize,
    reach: usize,
    pub(super) levels: Levels,
    recent: [f32; RECENT],
    recent_count: usize,
    /// Values since the levels were started, which sets how fast they may move.
    age: u32,
    origins: Box<[Kept]>,
    /// The profile was taken over from a like series.
    borrowed: bool,
}

impl Memory {
    pub(super) fn new(season: Option<usize>, horizon: usize) -> Self {
        let season = season.filter(|season| *season > 1).unwrap_or(0);
        let reach = season / 288;
        let length = (season + horizon + 4 * reach + 8).max(LEAST_KEPT).max(2 * horizon + 64);
        let slot_width = season.div_ceil(SLOTS).max(1);
        Self {
            season,
            steps: 0,
            oldest: 0,
            silent: 0,
            observed: 0,
            ring: vec![GAP; length].into_boxed_slice(),
            head: 0,
            profile: vec![GAP; season.div_ceil(slot_width)].into_boxed_slice(),
            slot_width,
            reach,
            levels: Levels::UNKNOWN,
            recent: [0.0; RECENT],
            recent_count: 0,
            age: 0,
            origins: vec![Kept::NONE; horizon + 1].into_boxed_slice(),
            borrowed: false,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + 2 * (self.ring.len() + self.profile.len()) + size_of_val(&*self.origins)
    }

    /// Begins at an index other than 0, so that phases stay where they were.
    pub(super) fn start_at(&mut self, index: u64) {
        self.steps = index;
        self.oldest = index;
    }

    /// Index of the first step.
    pub(super) fn begun(&self) -> u64 {
        self.oldest
    }

    pub(super) fn kept(&self) -> usize {
        self.ring.len()
    }

    /// The value of a step by its index; `NaN` for a gap and for what is not kept.
    pub(super) fn at(&self, index: u64) -> f32 {
        if index < self.oldest || index >= self.steps || self.steps - index > self.ring.len() as u64 {
            return f32::NAN;
        }
        let back = (self.steps - index) as usize;
        let place = if back <= self.head { self.head - back } else { self.head + self.ring.len() - back };
        decode(self.ring[place])
    }

    fn slot(&self, index: u64) -> usize {
        self.phase(index) / self.slot_width
    }

    /// Place of a step in its season.
    fn phase(&self, index: u64) -> usize {
        // Within 2³² steps of the start, 8 000 years of minutes, the cheaper division is right.
        (index as u32 % (self.season as u32).max(1)) as usize
    }

    /// Position of a step in its season as an angle.
    pub(super) fn angle(&self, index: u64) -> f32 {
        self.phase(index) as f32 / self.season.max(1) as f32 * std::f32::consts::TAU
    }

    /// Takes a value in, `NaN` for a gap. `pull` is the value as the levels should see it, spikes clipped.
    pub(super) fn observe(&mut self, value: f32, pull: f32) {
        self.ring[self.head] = encode(value);
        self.head = if self.head + 1 == self.ring.len() { 0 } else { self.head + 1 };
        if value.is_nan() {
            self.silent += 1;
        } else {
            let season = self.season as u64;
            if self.silent > BRIDGED.max(season) {
                self.age = 0;
            } else if self.silent > BRIDGED {
                self.hurry();
            }
            self.silent = 0;
            self.observed += 1;
            self.follow(value, pull);
            if self.season > 0 {
                let slot = self.slot(self.steps);
                let old = decode(self.profile[slot]);
                let rate = PROFILE / self.slot_width as f32;
                self.profile[slot] = encode(if old.is_nan() { value } else { old + rate * (value - old) });
            }
        }
        self.steps += 1;
        let kept = if self.silent > BRIDGED { Kept::NONE } else { Kept::of(&self.levels) };
        let place = (self.steps % self.origins.len() as u64) as usize;
        self.origins[place] = kept;
    }

    fn follow(&mut self, value: f32, pull: f32) {
        let levels = &mut self.levels;
        if self.age == 0 {
            *levels = Levels {
                last: value,
                before: value,
                fast: value,
                middle: value,
                slow: value,
                long: value,
                median: value,
                slope: 0.0,
            };
            self.recent_count = 0;
        }
        self.age = self.age.saturating_add(1);
        let start = 1.0 / self.age as f32;
        levels.before = levels.last;
        levels.last = value;
        let slow_before = levels.slow;
        levels.fast += FAST.max(start) * (pull - levels.fast);
        levels.middle += MIDDLE.max(start) * (pull - levels.middle);
        levels.slow += SLOW.max(start) * (pull - levels.slow);
        let long = if self.season > 0 { (2.0 / self.season as f32).max(SLOWEST) } else { LONG };
        levels.long += long.max(start) * (pull - levels.long);
        levels.slope += SLOPE * (levels.slow - slow_before - levels.slope);
        self.recent[self.recent_count % RECENT] = value;
        self.recent_count += 1;
        let count = self.recent_count.min(RECENT);
        let mut sorted = self.recent;
        sorted[..count].sort_unstable_by(f32::total_cmp);
        levels.median = f32::midpoint(sorted[(count - 1) / 2], sorted[count / 2]);
    }

    /// The levels `ago` steps ago, at most the horizon; their `last` is `NaN` when nothing was known then.
    pub(super) fn levels_ago(&self, ago: usize) -> Levels {
        if ago as u64 > self.steps || ago >= self.origins.len() {
            return Levels::UNKNOWN;
        }
        self.origins[((self.steps - ago as u64) % self.origins.len() as u64) as usize].levels()
    }

    /// Mean of a few steps around an index below `end`.
    fn around(&self, index: u64, end: u64) -> f32 {
        let reach = self.reach as u64;
        let taps = if reach > 0 {
            [
                index.saturating_sub(2 * reach),
                index.saturating_sub(reach),
                index,
                index + reach,
                index + 2 * reach,
            ]
        } else {
            [index.saturating_sub(1), index, index, index, index + 1]
        };
        let (mut sum, mut count) = (0.0, 0.0);
        for tap in taps {
            let value = if tap < end { self.at(tap) } else { f32::NAN };
            if !value.is_nan() {
                sum += value;
                count += 1.0;
            }
        }
        if count > 0.0 { sum / count } else { f32::NAN }
    }

    /// What past seasons say about an origin: the mean around one season before it, and the profile. `None` when less
    /// than a season was seen.
    pub(super) fn season_now(&self, origin: u64) -> Option<SeasonNow> {
        let season = self.season as u64;
        let over = origin > self.oldest + season;
        if season == 0 || origin == 0 || !(over || self.borrowed) {
            return None;
        }
        let profile = decode(self.profile[self.slot(origin - 1)]);
        let around = if over { or(self.around(origin - 1 - season, origin), profile) } else { profile };
        Some(SeasonNow { origin, around, profile: or(profile, around) })
    }

    /// What past seasons say about the step `ahead` (from 1) after an origin, as known at that origin.
    pub(super) fn season_for(&self, now: &SeasonNow, ahead: usize) -> Seasonal {
        let season = self.season as u64;
        let target = now.origin + ahead as u64 - 1;
        // The same phase of the newest season that is over; beyond one season the forecast repeats itself.
        let back = if ahead <= self.season { season } else { (ahead as u64).div_ceil(season) * season };
        let profile = decode(self.profile[self.slot(target)]);
        let (around, same) = match target.checked_sub(back) {
            Some(index) => (or(self.around(index, now.origin), profile), self.at(index)),
            None => (profile, profile),
        };
        Seasonal {
            same: or(same, around),
            around,
            profile: or(profile, around),
            around_now: now.around,
            profile_now: now.profile,
        }
    }

    /// What the profile says about a step; `NaN` where nothing is known.
    pub(super) fn profile_at(&self, index: u64) -> f32 {
        if self.season > 0 { decode(self.profile[self.slot(index)]) } else { f32::NAN }
    }

    /// Moves everything that is remembered by the same distance, so that differences and seasons stay as they are.
    pub(super) fn shift(&mut self, by: f32) {
        let moved = |code: &mut Code| *code = encode(decode(*code) + by);
        self.ring.iter_mut().for_each(moved);
        self.profile.iter_mut().for_each(moved);
        for kept in &mut self.origins {
            kept.0[..7].iter_mut().for_each(moved);
        }
        let levels = &mut self.levels;
        for level in [
            &mut levels.last,
            &mut levels.before,
            &mut levels.fast,
            &mut levels.middle,
            &mut levels.slow,
            &mut levels.long,
            &mut levels.median,
        ] {
            *level += by;
        }
        self.recent.iter_mut().for_each(|value| *value += by);
    }

    /// Takes over the profile of a like series; it counts at once.
    pub(super) fn borrow_profile(&mut self, other: &Self) {
        if self.profile.len() == other.profile.len() && self.season > 0 {
            self.profile.copy_from_slice(&other.profile);
            self.borrowed = true;
        }
    }

    /// Lets the levels start again at the next value.
    pub(super) fn restart(&mut self) {
        self.age = 0;
    }

    /// Lets the levels follow fast for a while.
    pub(super) fn hurry(&mut self) {
        self.age = self.age.min(HURRIED);
    }

    /// Passes over so many steps without a value, however many they are, at the cost of at most one memory.
    pub(super) fn skip(&mut self, steps: u64) {
        let kept = self.ring.len() as u64;
        for index in 0..steps.min(kept) {
            let place = (self.head as u64 + index) % kept;
            self.ring[place as usize] = GAP;
        }
        self.head = ((self.head as u64 + steps % kept) % kept) as usize;
        self.steps += steps;
        self.silent += steps;
        self.origins.fill(Kept::NONE);
    }

    /// All kept values in model scale, oldest first.
    pub(super) fn values(&self) -> impl Iterator<Item = f32> + '_ {
        let first = self.steps.saturating_sub(self.ring.len() as u64).max(self.oldest);
        (first..self.steps).map(|index| self.at(index))
    }
}
