package codesync

import (
	"io/fs"

	"github.com/beamctl/beamctl/dist/etf"
)

// FileID tells a file apart from others: a node that sees the same under the same path has the same file.
type FileID struct{ size, mtime, device, inode int64 }

// Identify returns what this machine says of a file.
func Identify(st fs.FileInfo) FileID {
	id := FileID{size: st.Size(), mtime: st.ModTime().Unix()}
	id.device, id.inode = inode(st)
	return id
}

// Seen returns what a node says of one: the result of prim_file:read_file_info(Path, [{time, posix}]), which is {ok,
// #file_info{}} (kernel/include/file.hrl). Anything else is the zero FileID.
func Seen(t etf.Term) FileID {
	var res struct {
		OK   etf.Atom
		Info struct {
			Record                                 etf.Atom
			Size                                   int64
			Type, Access                           etf.Term
			Atime, Mtime, Ctime                    int64
			Mode, Links, Major, Minor, Inode, U, G int64
		}
	}
	if etf.Assign(t, &res) != nil {
		return FileID{}
	}
	return FileID{size: res.Info.Size, mtime: res.Info.Mtime, device: res.Info.Major, inode: res.Info.Inode}
}
