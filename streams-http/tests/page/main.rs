//! The live page of real applications on the embedded log: as it is served, and as a headless Chromium shows it.
//!
//! Can be caught: a page that does not load or shows nothing, figures that are not those of the application, foreign text that becomes
//! markup, a page that is open to who may not see it. Without a browser that half says SKIPPED, and fails if `CI=true`. With
//! `KSTREAMS_SCREENSHOTS=DIR` it leaves pictures there.

#![allow(clippy::unwrap_used)]

mod application;
mod browser;
mod busy;
mod hostile;
mod lookup;
mod served;
mod shown;
