"""Fixtures of the window's tests: own settings folders, and nothing left behind."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import forking
import pytest
import shiboken6
from gui.driving import Hands
from gui.letters import add_target, opened
from gui.looking import CORNERS, GROUPS, colour, crowd, near
from made_runs import run_here
from PySide6.QtCore import QCoreApplication, QEvent, QThread
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.jobs import AnnotateJob, ClusterJob
from engine.jobs.session import Session
from engine.presets import preset
from engine.project import Project
from engine.running.pipeline import import_job
from engine.settings import AnnotateSettings, ClusterSettings, ImportSettings
from metapt_gui.crash import CrashReports
from metapt_gui.main_window import MainWindow
from metapt_gui.pages.cluster import ClusterPage
from metapt_gui.pages.few_shot import FewShotPage
from metapt_gui.pages.import_corpus import ImportPage
from metapt_gui.pages.pseudo_label import PseudoLabelPage
from metapt_gui.theme import LIGHT, ThemeKeeper
from metapt_gui.user_settings import UserSettings
from metapt_gui.widgets.cluster_scatter import ClusterScatter
from metapt_gui.widgets.label_table import LabelTable
from metapt_gui.widgets.plot import PlotCard


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings and logs of a test lie in its own folder."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("CONFIG", "CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    return home


@pytest.fixture
def engines(fork_server: None) -> Iterator[None]:
    """Engine processes of the window are forked where they can be: seconds less for each."""
    with forking.forked_engines() if forking.THERE else contextlib.nullcontext():
        yield


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """No thread of Qt and no engine process outlives the test that started it."""
    yield
    threads = [item for item in gc.get_objects() if issubclass(type(item), QThread) and shiboken6.isValid(item)]
    running = [thread.objectName() or repr(thread) for thread in threads if thread.isRunning()]
    assert not running, f"threads still run: {running}"
    children = [child.name for child in multiprocessing.active_children() if child.name == "MetaPT engine"]
    assert not children, "an engine process still runs"


@pytest.fixture
def themes(qtbot: QtBot, qapp: QApplication) -> Iterator[ThemeKeeper]:
    """The light theme, applied; its pictures go with it."""
    keeper = ThemeKeeper("light")
    keeper.apply()
    yield keeper
    qapp.setStyleSheet("")


@pytest.fixture
def window(qtbot: QtBot, themes: ThemeKeeper, tmp_path: Path, engines: None) -> Iterator[MainWindow]:
    """The window, shown; it is closed at the end, whatever state it is in."""
    made = MainWindow(UserSettings(tmp_path / "settings"), themes, CrashReports(tmp_path / "logs"), threads=1)
    made.show()
    qtbot.waitExposed(made)
    yield made
    made.runner.cancel()
    for other in QApplication.topLevelWidgets():
        if other is not made and other.isVisible():
            other.close()
    made.close()
    made.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def hands(qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> Hands:
    """Hands that work in the window."""
    return Hands(qtbot, window, monkeypatch)


@pytest.fixture
def importing(hands: Hands, tmp_path: Path) -> ImportPage:
    """The import page of a new project."""
    hands.next_file(tmp_path / "mine.metapt")
    hands.click(hands.window.welcome.new)
    page = hands.window.page
    assert isinstance(page, ImportPage)
    return page


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, tiny_t5: Path) -> Path:
    """A project folder with texts, four groups and settings for a small backbone: ready to meta-train."""
    folder = tmp_path_factory.mktemp("prepared") / "prepared.metapt"
    words = {1: "awful dull broken late", 2: "poor slow weak", 3: "fine plain usual", 4: "good quick kind", 5: "superb"}
    source, target = folder.parent / "reviews.csv", folder.parent / "messages.csv"
    with open(source, "w", encoding="utf-8") as stream:
        stream.write("review,stars\n")
        for number in range(160):
            stars = 1 + number % 5
            stream.write(f"the soup number {number} was {words[stars]} and the table too,{stars}\n")
    with open(target, "w", encoding="utf-8") as stream:
        stream.write("message,mood\n")
        for number in range(60):
            mood = ("unhappy", "happy")[number % 2]
            stream.write(f"parcel {number} came {'broken' if mood == 'unhappy' else 'early'},{mood}\n")
    session = Session()
    with Project.create(folder) as project:
        reading = ImportSettings(text_column="review", label_column="stars")
        texts = run_here(project, "source", import_job([str(source)], reading), session)
        reading = ImportSettings(text_column="message", label_column="mood")
        run_here(project, "target", import_job([str(target)], reading), session)
        grouped = ClusterSettings(method="random", clusters=4, projection="none")
        run_here(project, "clusters", ClusterJob(corpus=texts, cache=str(project.cache), settings=grouped), session)
        values = preset("quick", str(tiny_t5))
        values["meta_train"].update(steps=100_000, shots=2, validate_every=100_000, checkpoint_every=5, alpha=5.0)
        for name, value in values.items():
            project.set_value(name, value)
        project.set_value("preset", "own settings")
        project.set_value("backbone", {"backbone": str(tiny_t5)})
        project.set_value("task", {"classes": ["unhappy", "happy"], "words": {"unhappy": "bad", "happy": "good"}})
    return folder


@pytest.fixture
def project_folder(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the prepared project."""
    folder = tmp_path / "mine.metapt"
    shutil.copytree(prepared, folder)
    return folder


@pytest.fixture(scope="session")
def annotated_once(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared project with 100 unlabelled texts that were given pseudo-labels, all of which are kept."""
    folder = tmp_path_factory.mktemp("annotated") / "annotated.metapt"
    shutil.copytree(prepared, folder)
    posts = folder.parent / "posts.csv"
    words = ("awful dull", "poor slow", "plain usual", "good kind", "superb")
    with open(posts, "w", encoding="utf-8") as stream:
        stream.write("post\n")
        for number in range(100):
            stream.write(f"my stay {number} felt {words[number % 5]} really\n")
    session = Session()
    with Project.open(folder) as project:
        annotation = AnnotateJob(
            labelled=str(project.role("source")),
            unlabelled=run_here(project, "open-text", import_job([str(posts)], ImportSettings()), session),
            cache=str(project.cache),
            settings=AnnotateSettings(confidence=0.1, out_of_domain_share=0, balance=False),
        )
        run_here(project, "annotated", annotation, session)
        project.set_value("annotate", {"confidence": 0.1, "out_of_domain_share": 0.0, "balance": False})
    return folder


@pytest.fixture
def labelling(hands: Hands, annotated_once: Path, tmp_path: Path) -> PseudoLabelPage:
    """The page of pseudo-labels with a copy of that project."""
    folder = tmp_path / "annotated.metapt"
    shutil.copytree(annotated_once, folder)
    hands.window.projects.open(folder)
    page = hands.to(PseudoLabelPage)
    hands.until(lambda: page.total.value.text() == "100")
    return page


@pytest.fixture
def clustering(hands: Hands, project_folder: Path) -> ClusterPage:
    """The page of groups with a copy of the prepared project, which has four."""
    hands.window.projects.open(project_folder)
    page = hands.to(ClusterPage)
    hands.until(lambda: page.groups.table.rowCount() == 4)
    return page


@pytest.fixture
def letters(hands: Hands, project_folder: Path) -> FewShotPage:
    """The page with 300 letters, six of which came with a label."""
    with Project.open(project_folder) as project:
        project.assign("target", add_target(project, 300, labelled=6))
    return opened(hands, project_folder)


@pytest.fixture
def shown(qtbot) -> Callable[[PlotCard], PlotCard]:
    """Show a plot of 640 x 360 pixels and wait until it is laid out."""

    def show(plot: PlotCard) -> PlotCard:
        qtbot.addWidget(plot)
        plot.resize(640, 360)
        plot.set_theme(LIGHT)
        with qtbot.waitExposed(plot):
            plot.show()
        plot.grab()
        return plot

    return show


@pytest.fixture
def scatter(qtbot) -> ClusterScatter:
    """A scatter of 640 x 400 pixels, shown; empty."""
    made = ClusterScatter("Texts")
    qtbot.addWidget(made)
    made.resize(640, 400)
    made.set_theme(LIGHT)
    with qtbot.waitExposed(made):
        made.show()
    return made


@pytest.fixture(params=[5, 100_000], ids=["symbols", "picture"])
def filled(request: pytest.FixtureRequest, qtbot, scatter: ClusterScatter) -> ClusterScatter:
    """A scatter with points of group g around corner g, few or many."""
    scatter.set_points(*((CORNERS, GROUPS) if request.param == 5 else crowd(request.param)))
    qtbot.waitUntil(lambda: near(colour(scatter, 0, 0), LIGHT.category(0)), timeout=3000)
    return scatter


@pytest.fixture
def table(qtbot):
    """A label table of 800 x 500 pixels, shown and active; empty."""
    table = LabelTable()
    qtbot.addWidget(table)
    table.set_theme(LIGHT)
    table.resize(800, 500)
    table.show()
    qtbot.waitExposed(table)
    table.activateWindow()
    qtbot.waitUntil(table.isActiveWindow)
    return table
