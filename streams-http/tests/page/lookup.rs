//! A key that is looked up: its row, no row, a store that is not shown, and text of others in all of them.

use std::net::SocketAddr;

use streams_http::{HttpConfig, StoreRoutes};

use super::application::{COUNTS, DEAD_LETTERS, Running, SECOND, log, order, topology};
use super::browser::{document, find};

const IMAGE: &str = "<img src=x onerror=\"document.title='pwned'\">";
const ENCODED: &str = "%3Cimg%20src%3Dx%20onerror%3D%22document.title%3D'pwned'%22%3E";

#[test]
fn a_link_to_a_key_shows_what_the_store_has() {
    let Some(browser) = find() else { return };
    let kafka = log();
    (0..3_i64).for_each(|number| order(&kafka, "ada/eve", &number.to_be_bytes()));
    order(&kafka, IMAGE, &7_i64.to_be_bytes());
    let local = HttpConfig::on(SocketAddr::from(([127, 0, 0, 1], 0)));
    let http = HttpConfig { stores: StoreRoutes::new().key_value(&COUNTS), ..local };
    let mut shop = Running::with(topology(), &kafka, http, |config| config.dead_letters_to(&DEAD_LETTERS));
    shop.start();
    shop.await_json("status", |status| status["records"]["processed"] == 8);
    let look = |key: &str| {
        document(
            browser,
            &shop.url(&format!("#lookup=orders-per-customer/{key}")),
            Some(("lookup", "1300,1500")),
        )
    };

    let page = look("customer-ada%2Feve");
    for text in [
        "<code>customer-ada/eve</code>",
        "<code>3</code>",
        "1 row; as of shop-orders-per-customer-repartition",
    ] {
        assert!(page.contains(text), "`{text}` is not in\n{page}");
    }
    let page = look("nobody");
    assert!(page.contains("has no row of this key") && !page.contains("<code>"), "{page}");
    let page = look(&format!("customer-{ENCODED}"));
    assert!(
        page.contains("<code>customer-&lt;img src=x onerror=") && page.contains("<code>1</code>"),
        "{page}"
    );
    assert!(!page.contains("<img") && !page.contains("<title>pwned"), "{page}");
    let page = document(browser, &shop.url(&format!("#lookup={ENCODED}/key")), None);
    assert!(page.contains("is not shown by this instance") && page.contains("Store &lt;img"), "{page}");
    assert!(!page.contains("<img"), "{page}");
    shop.streams.close(30 * SECOND).unwrap();
}
