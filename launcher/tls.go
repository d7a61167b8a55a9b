package launcher

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/node"
)

// What Spec.TLS may be, but for the name of a file.
const (
	TLSNone = "none" // the default
	TLSAuto = "auto" // with an authority and certificates that the supervisor makes
)

// secure tells whether the nodes speak TLS with each other.
func (s *Spec) secure() bool { return s.TLS != "" && s.TLS != TLSNone }

// tlsUser is whose the certificate is that beamctl itself and the user's own nodes have: no node's name begins with a dot.
const tlsUser = ".user"

// optFile returns the file that n has for -ssl_dist_optfile, "" if it speaks no TLS.
func (s *Spec) optFile(p place, n *NodeSpec) (string, error) {
	switch s.TLS {
	case "", TLSNone:
		return "", nil
	case TLSAuto:
		return p.tls(n.Short(), "conf"), nil
	}
	sc := s.scope(n)
	sc.Dir = p.node(n.Short())
	sc.port = noPorts
	path, err := sc.expand(s.TLS)
	if err != nil {
		return "", fmt.Errorf("tls: %w", err)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.Dir, path)
	}
	return path, nil
}

// userOptFile is the optFile of the user's own nodes.
func (s *Spec) userOptFile(p place) (string, error) {
	if s.TLS == TLSAuto {
		return p.tls(tlsUser, "conf"), nil
	}
	return s.optFile(p, &s.Nodes[0])
}

// noPorts is the port function of templates that are not about a node which is being started.
func noPorts(string) (int, error) { return 0, errors.New("there are no ports here") }

// clientTLS says how beamctl itself speaks with n: with the certificate made for that, or with n's own. nil: without TLS.
func (s *Spec) clientTLS(p place, n *NodeSpec) (*tls.Config, error) {
	if !s.secure() {
		return nil, nil //nolint:nilnil // that is what it means
	}
	opt, err := s.optFile(p, n)
	if s.TLS == TLSAuto {
		opt, err = s.userOptFile(p)
	}
	if err != nil {
		return nil, err
	}
	files, err := node.ReadOptFile(opt)
	if err != nil {
		return nil, tlsFinding(n, err)
	}
	cfg, err := files.Config()
	if err != nil {
		return nil, tlsFinding(n, err)
	}
	return cfg, nil
}

func tlsFinding(n *NodeSpec, err error) error {
	return &checks.Finding{
		What: n.Name + " cannot be spoken to: its TLS files are not what beamctl can use", Saw: err.Error(),
		Cause: "beamctl joins the cluster as a node, with the certificate, key and authority that the node's optfile names for a client",
		Fix:   "name them there as PEM files, the key without a password; or let beamctl make its own: `tls: auto`", Err: err,
	}
}

// ownTLSFinding explains that a node speaks TLS in a cluster without.
func ownTLSFinding(name string, err error) error {
	return &checks.Finding{
		What: name + " did not start: it speaks TLS, and the cluster does not", Saw: err.Error(),
		Cause: "its own flags (vm.args of a release, vm_args, ERL_FLAGS) have -proto_dist inet_tls, while `tls` is not set: beamctl speaks without",
		Fix:   "take -proto_dist and -ssl_dist_optfile out of its flags, and say `tls: FILE` with that optfile, or `tls: auto`, in beamctl.yaml", Err: err,
	}
}

// distFlags choose the protocol of distribution: that of the address, over TLS if there is an optfile. A BEAM may see them only
// once: of two -proto_dist net_kernel takes none.
func distFlags(ip, optFile string) string {
	proto := "inet"
	if strings.Contains(ip, ":") {
		proto = "inet6"
	}
	switch {
	case optFile != "":
		return fmt.Sprintf("-proto_dist %s_tls -ssl_dist_optfile %s", proto, flagWord(optFile))
	case proto != "inet":
		return "-proto_dist " + proto + "_tcp"
	default:
		return ""
	}
}

// flagWord writes text as one word for erlexec, which splits ERL_AFLAGS and ERL_FLAGS as a shell would.
func flagWord(text string) string {
	return strings.NewReplacer(`\`, `\\`, `'`, `\'`, `"`, `\"`, " ", `\ `, "\t", "\\\t").Replace(text)
}

// tlsFaults says what is wrong with a TLS setting.
func (s *Spec) tlsFaults() []fault {
	var faults []fault
	if s.secure() && s.TLS != TLSAuto {
		sc := s.scope(&s.Nodes[0])
		sc.port = noPorts
		path, err := sc.expand(s.TLS)
		switch {
		case err != nil:
			faults = append(faults, fault{"tls", err.Error()})
		case strings.Contains(s.TLS, "{{"): // what is there when a node starts, is seen then
		default:
			if !filepath.IsAbs(path) {
				path = filepath.Join(s.Dir, path)
			}
			if _, err := os.Stat(path); err != nil {
				faults = append(faults, fault{"tls", fmt.Sprintf("%q is neither none nor auto, and no file for -ssl_dist_optfile: %v", s.TLS, err)})
			}
		}
	}
	return faults
}
