package etf

import (
	"encoding/binary"
	"fmt"
)

func appendPid(dst []byte, p Pid) ([]byte, error) {
	dst, err := appendAtom(append(dst, tagNewPid), p.Node)
	if err != nil {
		return nil, err
	}
	dst = binary.BigEndian.AppendUint32(dst, p.ID)
	dst = binary.BigEndian.AppendUint32(dst, p.Serial)
	return binary.BigEndian.AppendUint32(dst, p.Creation), nil
}

func appendPort(dst []byte, p Port) ([]byte, error) {
	tag := byte(tagNewPort)
	if p.ID > maxNewPortID {
		tag = tagV4Port
	}
	dst, err := appendAtom(append(dst, tag), p.Node)
	if err != nil {
		return nil, err
	}
	if tag == tagV4Port {
		dst = binary.BigEndian.AppendUint64(dst, p.ID)
	} else {
		dst = binary.BigEndian.AppendUint32(dst, uint32(p.ID))
	}
	return binary.BigEndian.AppendUint32(dst, p.Creation), nil
}

func appendRef(dst []byte, r Ref) ([]byte, error) {
	if r.Len == 0 || r.Len > MaxRefWords {
		return nil, fmt.Errorf("etf: reference of %d words: %w", r.Len, ErrUnsupported)
	}
	dst, err := appendAtom(append(dst, tagNewerReference, 0, r.Len), r.Node)
	if err != nil {
		return nil, err
	}
	dst = binary.BigEndian.AppendUint32(dst, r.Creation)
	for _, word := range r.ID[:r.Len] {
		dst = binary.BigEndian.AppendUint32(dst, word)
	}
	return dst, nil
}

func appendExport(dst []byte, e Export) ([]byte, error) {
	dst, err := appendAtom(append(dst, tagExport), e.Module)
	if err != nil {
		return nil, err
	}
	if dst, err = appendAtom(dst, e.Function); err != nil {
		return nil, err
	}
	return append(dst, tagSmallInteger, e.Arity), nil
}

// appendFun writes NEW_FUN_EXT, or FUN_EXT for a fun that came as one: those have no MD5, no index and no arity.
func appendFun(dst []byte, f Fun, depth int) ([]byte, error) {
	if f.Uniq == [16]byte{} && f.Index == 0 && f.Arity == 0 {
		return appendOldFun(dst, f, depth)
	}
	start := len(dst) + 1
	dst = append(dst, tagNewFun, 0, 0, 0, 0, f.Arity)
	dst = append(dst, f.Uniq[:]...)
	dst = binary.BigEndian.AppendUint32(dst, f.Index)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(f.Free)))
	dst, err := appendAtom(dst, f.Module)
	if err != nil {
		return nil, err
	}
	dst = appendInt(appendInt(dst, f.OldIndex), f.OldUniq)
	if dst, err = appendPid(dst, f.Pid); err != nil {
		return nil, err
	}
	if dst, err = appendAll(dst, f.Free, depth+1); err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start))
	return dst, nil
}

func appendOldFun(dst []byte, f Fun, depth int) ([]byte, error) {
	dst, err := appendLen(dst, tagFun, len(f.Free))
	if err != nil {
		return nil, err
	}
	if dst, err = appendPid(dst, f.Pid); err != nil {
		return nil, err
	}
	if dst, err = appendAtom(dst, f.Module); err != nil {
		return nil, err
	}
	dst = appendInt(appendInt(dst, f.OldIndex), f.OldUniq)
	return appendAll(dst, f.Free, depth+1)
}
