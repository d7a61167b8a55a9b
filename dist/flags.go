package dist

import "strings"

// Flags are the distribution capability flags of one side (erl_dist_protocol, "Distribution Flags").
type Flags uint64

// The flags as dist.hrl (lib/kernel/include) has them. Note Mandatory25Digest: the documentation puts it
// at bit 36, the source at bit 26, and the source is what nodes speak.
const (
	FlagPublished         Flags = 0x1
	FlagAtomCache         Flags = 0x2
	FlagExtendedRefs      Flags = 0x4
	FlagDistMonitor       Flags = 0x8
	FlagFunTags           Flags = 0x10
	FlagDistMonitorName   Flags = 0x20
	FlagHiddenAtomCache   Flags = 0x40
	FlagNewFunTags        Flags = 0x80
	FlagExtendedPidsPorts Flags = 0x100
	FlagExportPtrTag      Flags = 0x200
	FlagBitBinaries       Flags = 0x400
	FlagNewFloats         Flags = 0x800
	FlagUnicodeIO         Flags = 0x1000
	FlagDistHdrAtomCache  Flags = 0x2000
	FlagSmallAtomTags     Flags = 0x4000
	FlagUTF8Atoms         Flags = 0x10000
	FlagMapTag            Flags = 0x20000
	FlagBigCreation       Flags = 0x40000
	FlagSendSender        Flags = 0x80000
	FlagBigSeqtraceLabels Flags = 0x100000
	FlagExitPayload       Flags = 0x400000
	FlagFragments         Flags = 0x800000
	FlagHandshake23       Flags = 0x1000000
	FlagUnlinkID          Flags = 0x2000000
	FlagMandatory25Digest Flags = 0x4000000
	FlagSpawn             Flags = 1 << 32
	FlagNameMe            Flags = 1 << 33
	FlagV4NC              Flags = 1 << 34
	FlagAlias             Flags = 1 << 35
	FlagAltactSig         Flags = 1 << 37
)

// Mandatory25 is what OTP 25 and later insist on (DFLAG_DIST_MANDATORY_25); OTP 26 and later also on V4_NC and UNLINK_ID.
const Mandatory25 = FlagExtendedRefs | FlagFunTags | FlagExtendedPidsPorts | FlagUTF8Atoms | FlagNewFunTags |
	FlagBigCreation | FlagNewFloats | FlagMapTag | FlagExportPtrTag | FlagBitBinaries | FlagHandshake23

// Mandatory26 is what OTP 26 and later insist on.
const Mandatory26 = Mandatory25 | FlagV4NC | FlagUnlinkID

// Hidden is what we offer: everything that package etf reads, monitors, fragments, and no FlagPublished, which
// would make the peer treat us as a visible node. No atom cache: then no order of decoding can corrupt it.
const Hidden = Mandatory26 | FlagMandatory25Digest | FlagDistMonitor | FlagDistMonitorName | FlagUnicodeIO |
	FlagSmallAtomTags | FlagSendSender | FlagExitPayload | FlagFragments

// knownFlags masks what a peer says: a bit that we do not know must not change what we do.
const knownFlags = Hidden | FlagPublished | FlagAtomCache | FlagHiddenAtomCache | FlagDistHdrAtomCache |
	FlagBigSeqtraceLabels | FlagSpawn | FlagNameMe | FlagAlias | FlagAltactSig

// Has tells whether all of want are set.
func (f Flags) Has(want Flags) bool { return f&want == want }

// normalize expands MANDATORY_25_DIGEST as OTP does ("all of the 25 set") and drops unknown bits.
func (f Flags) normalize() Flags {
	if f.Has(FlagMandatory25Digest) {
		f |= Mandatory25
	}
	return f & knownFlags
}

var flagNames = []struct {
	f    Flags
	name string
}{
	{FlagPublished, "PUBLISHED"},
	{FlagAtomCache, "ATOM_CACHE"},
	{FlagExtendedRefs, "EXTENDED_REFERENCES"},
	{FlagDistMonitor, "DIST_MONITOR"},
	{FlagFunTags, "FUN_TAGS"},
	{FlagDistMonitorName, "DIST_MONITOR_NAME"},
	{FlagHiddenAtomCache, "HIDDEN_ATOM_CACHE"},
	{FlagNewFunTags, "NEW_FUN_TAGS"},
	{FlagExtendedPidsPorts, "EXTENDED_PIDS_PORTS"},
	{FlagExportPtrTag, "EXPORT_PTR_TAG"},
	{FlagBitBinaries, "BIT_BINARIES"},
	{FlagNewFloats, "NEW_FLOATS"},
	{FlagUnicodeIO, "UNICODE_IO"},
	{FlagDistHdrAtomCache, "DIST_HDR_ATOM_CACHE"},
	{FlagSmallAtomTags, "SMALL_ATOM_TAGS"},
	{FlagUTF8Atoms, "UTF8_ATOMS"},
	{FlagMapTag, "MAP_TAG"},
	{FlagBigCreation, "BIG_CREATION"},
	{FlagSendSender, "SEND_SENDER"},
	{FlagBigSeqtraceLabels, "BIG_SEQTRACE_LABELS"},
	{FlagExitPayload, "EXIT_PAYLOAD"},
	{FlagFragments, "FRAGMENTS"},
	{FlagHandshake23, "HANDSHAKE_23"},
	{FlagUnlinkID, "UNLINK_ID"},
	{FlagMandatory25Digest, "MANDATORY_25_DIGEST"},
	{FlagSpawn, "SPAWN"},
	{FlagNameMe, "NAME_ME"},
	{FlagV4NC, "V4_NC"},
	{FlagAlias, "ALIAS"},
	{FlagAltactSig, "ALTACT_SIG"},
}

// String lists the flags by OTP's names, separated by "|".
func (f Flags) String() string {
	var names []string
	for _, n := range flagNames {
		if f.Has(n.f) {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, "|")
}
