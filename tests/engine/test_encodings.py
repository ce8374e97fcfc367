"""Files that do not say what their encoding is are read as they were written."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from engine.corpus.encodings import guess_encoding
from engine.corpus.preview import preview_file
from engine.settings import ImportSettings

FRENCH = """Le service était très lent et le café déjà froid
J'ai été déçu par la qualité, cela ne vaut pas 12 €
Le garçon a oublié la crème brûlée et l’addition était fausse
Impossible de joindre le service client, une honte
Où est passée ma commande ? Cette hôtesse a un cœur gros comme ça"""
ENGLISH = """The soup wasn’t hot and the waiter didn’t care
“Best café in town” said the sign, and it was right
It cost £12 and wasn’t worth half of it
The room was clean – but noisy
Lovely staff, quick service, fair prices"""
ITALIAN = """Il servizio era lento e il caffè già freddo
Sono rimasto deluso dalla qualità, non vale il prezzo
Perché così tanto ritardo? Non tornerò più
Consegna veloce, pacco ben imballato"""
GERMAN = """Die Lieferung war spät und der Verkäufer unhöflich
„Bester Kuchen der Stadt“ steht am Fenster, und das stimmt
Größe passt überhaupt nicht, für 20 € muss es zurück"""
SPANISH = """La habitación estaba sucia y olía mal, qué pena
¿Por qué nos cobraron de más? El año próximo no volveremos
El café estaba frío y el pan duro, señor"""
POLISH = """Obsługa była bardzo miła, a jedzenie świeże i smaczne
Łóżko wygodne, ale hałas z ulicy nie dawał spać
Paczka przyszła zniszczona, żona była zła"""
CZECH = """Obsluha byla velmi příjemná a jídlo čerstvé
Balíček přišel rozbitý, peníze mi nikdo nevrátil
Žádná sláva, všechno průměrné a drahé"""
HUNGARIAN = """A kiszolgálás nagyon lassú volt, a kávé pedig hideg
A képernyő törött volt, és senki sem veszi fel a telefont
Több mint egy órát vártunk az ételre, szörnyű élmény"""
LITHUANIAN = """Aptarnavimas buvo labai lėtas, o kava šalta
Siunta atkeliavo sudaužyta, pinigų negrąžino
Sūnus labai mėgsta šį žaidimą ir žaidžia kasdien"""
TURKISH = """Servis çok yavaştı ve kahve soğuk geldi
Oğlum bu oyunu çok seviyor, her gün oynuyor
Şehir merkezine yakın, güzel bir otel"""
GREEK = """Η εξυπηρέτηση ήταν πολύ αργή και ο καφές κρύος
Το δωμάτιο ήταν καθαρό αλλά είχε θόρυβο από τον δρόμο"""
RUSSIAN = """Обслуживание было очень медленным, а кофе холодным
Посылка пришла разбитой, деньги не вернули"""

WRITTEN = [
    *((text, "cp1252") for text in (FRENCH, ENGLISH, ITALIAN, GERMAN, SPANISH)),
    *((text, "cp1250") for text in (POLISH, CZECH, HUNGARIAN)),
    (POLISH, "iso8859_2"),
    (FRENCH.replace("œ", "oe").replace("€", "euros").replace("’", "'"), "latin-1"),
    (GERMAN, "mac_roman"),
    (LITHUANIAN, "cp1257"),
    (TURKISH, "cp1254"),
    (GREEK, "cp1253"),
    (RUSSIAN, "cp1251"),
    (RUSSIAN, "koi8_r"),
]


@pytest.mark.parametrize(("text", "encoding"), WRITTEN, ids=lambda value: value[:12])
@pytest.mark.parametrize("rows", [12, 200])
def test_the_encoding_of_a_language_is_found(tmp_path: Path, text: str, encoding: str, rows: int) -> None:
    path = tmp_path / "comments.csv"
    for seed in range(3):
        draw = random.Random(seed)
        written = [" ".join(draw.sample(text.splitlines(), draw.randint(1, 2))) for _ in range(rows)]
        path.write_bytes("".join(f"{row};{n % 2}\r\n" for n, row in enumerate(["comment", *written])).encode(encoding))
        found = preview_file(str(path), ImportSettings(header="yes"))
        assert [row[0] for row in found["rows"]] == written, found["encoding"]
        assert found["guessed"]


def test_a_wrong_byte_among_utf8_costs_its_row_and_not_the_accents_of_all(tmp_path: Path) -> None:
    path = tmp_path / "comments.csv"
    rows = [f"{number} {row};1".encode() for number in range(20) for row in FRENCH.splitlines()]
    path.write_bytes(b"\n".join([b"comment;label", *rows, "déjà bu;0".encode("cp1252")]))
    found = preview_file(str(path), ImportSettings())
    assert found["encoding"] == "utf-8-sig"
    assert not found["guessed"]
    assert found["rows"][0][0] == "0 Le service était très lent et le café déjà froid"
    assert [item["line"] for item in found["broken"]] == [102]


def test_an_encoding_that_was_chosen_was_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "comments.csv"
    path.write_bytes("comment;label\ndéçu;1\n".encode("cp1252"))
    assert preview_file(str(path), ImportSettings())["guessed"]
    assert not preview_file(str(path), ImportSettings(encoding="cp1252"))["guessed"]


@pytest.mark.parametrize("text", ["déjà vu", "naïve", "perché no", "ça va", "¡Qué año!", "£12 only"])
def test_a_few_accents_are_those_of_western_europe(text: str) -> None:
    assert guess_encoding(f"label,text\n1,{text} and so on".encode("cp1252")) == "cp1252"
