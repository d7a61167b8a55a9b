package etf

// Version is the byte that precedes a term where it stands alone (binary_to_term, files, pass-through frames).
// Terms behind a distribution header come without it.
const Version = 131

// The tags of the format, named as in erl_ext_dist. The comment says who still writes them.
const (
	tagNewFloat            = 70  // IEEE 754 double
	tagBitBinary           = 77  // bits of the last byte, then bytes
	tagCompressed          = 80  // zlib, only directly behind Version
	tagAtomCacheRef        = 82  // index into the atoms of a distribution header
	tagNewPid              = 88  // since OTP 19
	tagNewPort             = 89  // since OTP 19
	tagNewerReference      = 90  // since OTP 19
	tagSmallInteger        = 97  // one byte
	tagInteger             = 98  // 32 bits
	tagFloat               = 99  // "%.20e" in 31 bytes; minor_version 0
	tagAtom                = 100 // latin1, 2 byte length; term_to_binary until OTP 25
	tagReference           = 101 // one word; before R6
	tagPort                = 102 // one byte creation
	tagPid                 = 103 // one byte creation
	tagSmallTuple          = 104
	tagLargeTuple          = 105
	tagNil                 = 106
	tagString              = 107 // a list of bytes
	tagList                = 108
	tagBinary              = 109
	tagSmallBig            = 110
	tagLargeBig            = 111
	tagNewFun              = 112
	tagExport              = 113
	tagNewReference        = 114 // one byte creation
	tagSmallAtom           = 115 // latin1, 1 byte length
	tagMap                 = 116
	tagFun                 = 117 // before R8; removed from the BEAM in OTP 23
	tagAtomUTF8            = 118
	tagSmallAtomUTF8       = 119
	tagV4Port              = 120 // 64 bit id, since OTP 24
	tagLocal               = 121 // opaque to all but the node that wrote it, since OTP 26
	maxStringLen           = 1<<16 - 1
	maxNewPortID           = 1<<28 - 1 // NEW_PORT_EXT carries 28 bits, larger ids go out as V4_PORT_EXT (external.c, enc_port)
	floatTextLen           = 31
	maxTinyCreation        = 3 // one-byte creations are two bits wide
	bitsPerByte            = 8
	signPositive      byte = 0
	signNegative      byte = 1
)
