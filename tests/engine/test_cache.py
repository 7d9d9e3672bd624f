"""The cache: what a live LIST tells, and what it cannot tell."""

from sslorder.api.payment import SSLPayment
from sslorder.engine.cache import Cache, key_of
from tests.api.manifests import PAYMENT


def payment(name: str, uid: str = "first", version: int = 1) -> SSLPayment:
    metadata = {
        "name": name,
        "uid": uid,
        "resourceVersion": str(version),
        "generation": 1,
        "creationTimestamp": "2026-11-23T09:00:00Z",
    }
    return SSLPayment.model_validate(PAYMENT | {"metadata": metadata})


def names(cache: Cache) -> set[str]:
    return {key.name for key in cache.keys(SSLPayment)}


class TestAList:
    def setup_method(self) -> None:
        self.cache = Cache()
        self.cache.put(payment("known"))
        self.known = self.cache.incarnations(SSLPayment)

    def test_what_it_lacks_is_gone(self) -> None:
        work = self.cache.put_list(self.known, [])
        assert names(self.cache) == set()
        assert key_of(payment("known")) in work

    def test_what_it_brings_is_news(self) -> None:
        work = self.cache.put_list(self.known, [payment("known"), payment("new")])
        assert names(self.cache) == {"known", "new"}
        assert work == {key_of(payment("known")), key_of(payment("new"))}  # both of one contract

    def test_what_came_while_it_was_under_way_is_not_gone(self) -> None:
        self.cache.put(payment("meanwhile", version=2))
        self.cache.put_list(self.known, [payment("known")])
        assert names(self.cache) == {"known", "meanwhile"}

    def test_what_was_made_anew_while_it_was_under_way_is_not_gone(self) -> None:
        self.cache.drop(SSLPayment, "", "known", "first")
        self.cache.put(payment("known", uid="second", version=2))
        self.cache.put_list(self.known, [])
        assert names(self.cache) == {"known"}
