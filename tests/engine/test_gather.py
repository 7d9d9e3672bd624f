"""The book of dossiers."""

from dataclasses import replace

from sslorder.contract.ledger import ContractKey
from sslorder.engine.gather import Book
from sslorder.engine.ports import Dossier
from tests.contract.build import KEY, a_ledger


def dossier(purchase_order: str) -> Dossier:
    key = ContractKey(KEY.account, purchase_order)
    return Dossier(key.digest, "1", replace(a_ledger(), key=key))


def test_a_dossier_that_is_opened_while_ledgers_are_read_disturbs_nobody() -> None:
    book = Book()
    book.load([dossier("BC-1"), dossier("BC-2")])
    seen = []
    for ledger in book.ledgers():
        seen.append(ledger.key.purchase_order)
        book.put(dossier(f"opened while {ledger.key.purchase_order} is read"))
    assert seen == ["BC-1", "BC-2"]
