"""File name extensions that are never stored as documents, each list with its source and the day of its reading.

An operator adds extensions (`INGEST_BLOCK_EXTENSIONS`) and takes others off the list (`INGEST_ALLOW_EXTENSIONS`).
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Final


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


# "Blocked attachments in Outlook", with the default of BlockedFileTypes in an OwaMailboxPolicy of Exchange Online
# (library-ms and search-ms since July 2025). From public copies of the page, 2026-11-27.
# https://support.microsoft.com/office/blocked-attachments-in-outlook-434752e1-02d3-4e90-9124-8b81e49a8519
OUTLOOK: Final = _listed(
    """
    ade adp apk app appcontent-ms appref-ms appx asp aspx asx bas bat bgi cab cdxml cer chm cmd cnt com cpl crt csh
    der diagcab exe fxp gadget grp hlp hpj hta htc img inf ins iso isp its jar jnlp js jse ksh library-ms lnk mad
    maf mag mam maq mar mas mat mau mav maw mcf mda mdb mde mdt mdw mdz mht mhtml msc msh msh1 msh1xml msh2 msh2xml
    mshxml msi msp mst msu ops osd pcd pif pl plg prf prg printerexport ps1 ps1xml ps2 ps2xml psc1 psc2 psd1 psdm1
    pssc pst py pyc pyo pyw pyz pyzw reg scf scr sct search-ms settingcontent-ms shb shs theme tmp udl url vb vbe
    vbp vbs vhd vhdx vsmacros vsw webpnp website ws wsb wsc wsf wsh xbap xll xnk
    """
)
# "File types blocked in Gmail". From public copies of the page, 2026-11-27. https://support.google.com/mail/answer/6590
GMAIL: Final = _listed(
    """
    ade adp apk appx appxbundle bat cab chm cmd com cpl diagcab diagcfg diagpkg dll dmg ex ex_ exe hta img ins iso
    isp jar jnlp js jse lib lnk mde mjs msc msi msix msixbundle msp mst nsh pif ps1 scr sct shb sys vb vbe vbs vhd
    vxd wsc wsf wsh xll
    """
)
# Chosen 2026-11-27, in neither of the two lists: other programs, packages and disk images of Windows, macOS and Linux;
# add-ins of Office; queries that Excel runs on opening (iqy, slk); OneNote sections, which carry programs.
OURS: Final = _listed(
    """
    appimage appinstaller application bash command deb desktop dqy dylib fish iqy job ocx odc one onepkg onetoc2 oqy
    php pkg ppa ppam psm1 rb rdp rpm rqy run scpt search-connector-ms sh slk so udf vmdk wim wll workflow xla xlam
    xlm xpi zsh
    """
)
BLOCKED: Final = OUTLOOK | GMAIL | OURS

# Windows leaves trailing dots and blanks out of a name; characters without a width hide the extension before them.
_AFTER_NAME: Final = string.whitespace + ".\0\xa0\ufeff\ufffd" + "".join(map(chr, range(0x2000, 0x2070)))


def extension_of(name: str) -> str:
    """Return the extension by which a computer chooses a program, in lower case; empty if there is none."""
    _, dot, extension = name.rstrip(_AFTER_NAME).rpartition(".")
    return extension.lower() if dot else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocking:
    """The extensions that an operator blocks besides, and those that an operator allows."""

    added: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()

    def is_blocked(self, name: str) -> bool:
        """Return whether a file of this name is blocked."""
        extension = extension_of(name)
        return extension not in self.allowed and (extension in BLOCKED or extension in self.added)

    def is_allowed(self, name: str) -> bool:
        """Return whether an operator allows files of this name."""
        return extension_of(name) in self.allowed


USUAL: Final = Blocking()
