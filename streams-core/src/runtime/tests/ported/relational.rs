//! `RelationalSmokeTest`: articles, and comments on them. Each comment gets a piece of its article (a foreign-key join), each article the
//! number of its comments (a left join with a count behind a repartition). Two clients end or are killed, a third takes over; then both
//! directions of the relation are derived again and compared.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::crashes::Random;
use super::super::world::Instance;
use super::scene::Scene;
use crate::dsl::StreamsBuilder;
use crate::topic::Topic;
use crate::topology::Topology;

const ARTICLES: Topic<i32, String> = Topic::new("in-article");
/// Article and text.
const COMMENTS: Topic<i32, (i32, String)> = Topic::new("in-comment");
/// Text and number of comments.
const AUGMENTED_ARTICLES: Topic<i32, (String, i64)> = Topic::new("out-augmented-article");
/// Article, text, and the first 20 characters of the article.
const AUGMENTED_COMMENTS: Topic<i32, (i32, String, String)> = Topic::new("out-augmented-comment");
const ARTICLES_MAX: i32 = 1_000;
const COMMENTS_MAX: i32 = 10_000;

fn prefix(text: &str) -> String {
    text.chars().take(20).collect()
}

fn topology() -> Topology {
    let builder = StreamsBuilder::new();
    let (articles, comments) = (builder.table(&ARTICLES), builder.table(&COMMENTS));
    let counts = comments.clone().group_by(|_, (article, _): &(i32, String)| (*article, 1_i16)).count();
    articles
        .clone()
        .left_join(&counts, |text: &String, count: Option<&i64>| {
            (text.clone(), count.map_or(0, |count| *count))
        })
        .to_stream()
        .to(&AUGMENTED_ARTICLES);
    let of_article = |(article, _): &(i32, String)| Some(*article);
    let augment = |(article, text): &(i32, String), whole: &String| (*article, text.clone(), prefix(whole));
    comments.join_foreign_key(&articles, of_article, augment).to_stream().to(&AUGMENTED_COMMENTS);
    builder.build().unwrap()
}

/// A number below `limit`, the low ones much more often: about Zipf's law.
fn zipf(random: &mut Random, limit: u64) -> i32 {
    let mut below = limit;
    while below > 1 && random.below(3) > 0 {
        below /= 2;
    }
    random.below(below.max(1)) as i32
}

/// What was written, and the clients.
struct Relation {
    scene: Scene,
    random: Random,
    articles: BTreeMap<i32, String>,
    comments: BTreeMap<i32, (i32, String)>,
}

impl Relation {
    fn new() -> Self {
        let topics = [
            ("in-article", 3),
            ("in-comment", 5),
            ("out-augmented-article", 3),
            ("out-augmented-comment", 5),
        ];
        let (articles, comments) = Default::default();
        Self { scene: Scene::new(&topics), random: Random::new(11), articles, comments }
    }

    /// A record in turn: all articles are written in the first half.
    fn write(&mut self, records: i32) {
        for _ in 0..records {
            let (article, comment) = (self.articles.len() as i32, self.comments.len() as i32);
            if article < ARTICLES_MAX && comment >= article * 5 {
                let text = format!("article {article} of {} words", self.random.below(1_000));
                self.scene.put(&ARTICLES, &article, &text);
                self.articles.insert(article, text);
            } else if comment < COMMENTS_MAX {
                let of = zipf(&mut self.random, article.max(1) as u64);
                let row = (of, format!("comment {comment}"));
                self.scene.put(&COMMENTS, &comment, &row);
                self.comments.insert(comment, row);
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.articles.len() as i32 == ARTICLES_MAX && self.comments.len() as i32 == COMMENTS_MAX
    }

    fn turns(&mut self, clients: &mut [&mut Instance], count: usize) {
        for _ in 0..count {
            self.write(10);
            self.scene.turns(clients, 1);
        }
    }

    fn start(&self, name: &str) -> Instance {
        let mut config = self.scene.config(name);
        config.commit_interval = Duration::from_secs(1);
        self.scene.start(topology(), config)
    }

    fn verify(&self) {
        let mut counts = BTreeMap::new();
        self.comments.values().for_each(|(article, _)| *counts.entry(*article).or_insert(0_i64) += 1);
        let last = |mut rows: BTreeMap<i32, Vec<_>>| -> BTreeMap<i32, _> {
            rows.iter_mut().map(|(key, values)| (*key, values.pop().unwrap())).collect()
        };
        let count = |article| counts.get(article).copied().unwrap_or(0);
        let articles = self.articles.iter().map(|(key, text)| (*key, (text.clone(), count(key)))).collect();
        assert_eq!(last(self.scene.per_key(&AUGMENTED_ARTICLES)), articles);
        let augmented =
            |(article, text): &(i32, String)| (*article, text.clone(), prefix(&self.articles[article]));
        let comments = self.comments.iter().map(|(key, comment)| (*key, vec![augmented(comment)])).collect();
        // No comment and no article changes: each comment comes out once.
        assert_eq!(self.scene.per_key(&AUGMENTED_COMMENTS), comments);
        // Each count of an article that was there when its first comment came was sent once.
        for (article, sent) in self.scene.per_key(&AUGMENTED_ARTICLES) {
            let counts: Vec<i64> = sent.into_iter().map(|(_, count)| count).collect();
            assert!(counts.is_sorted_by(|one, next| one < next), "{article}: {counts:?}");
        }
    }
}

fn test_streams(crash: bool) {
    let mut relation = Relation::new();
    let (mut one, mut two) = (relation.start("processor1"), relation.start("processor2"));
    while relation.scene.rows(&AUGMENTED_COMMENTS).is_empty() {
        relation.turns(&mut [&mut one, &mut two], 20);
    }
    relation.turns(&mut [&mut one, &mut two], 200);
    let ended = |client: Instance| if crash { client.kill() } else { client.close() };
    ended(one);
    let mut three = relation.start("processor3");
    relation.turns(&mut [&mut two, &mut three], 200);
    ended(two);
    assert!(!relation.is_complete(), "the scenario is over before the input");
    while !relation.is_complete() {
        relation.turns(&mut [&mut three], 10);
    }
    relation.scene.settle(&mut [&mut three]);
    relation.verify();
}

#[test]
fn test_streams_relational() {
    test_streams(false);
}

#[test]
fn test_streams_relational_crash() {
    test_streams(true);
}
