package checks

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"

	"github.com/beamctl/beamctl/dist"
)

// explainTLS says which side of a TLS handshake did not like what.
func explainTLS(f *Finding, t Target, err error) {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		garbage tls.RecordHeaderError
		remote  *net.OpError
	)
	switch {
	case errors.As(err, &unknown):
		f.What = t.Name + " cannot be reached: its certificate is signed by an authority that is not trusted here"
		f.Cause = "the authority given to beamctl is not the one that signed the node's certificate"
		f.Fix = "give the authority's certificate: --tls-ca FILE, or the --tls-optfile that the nodes have"
	case errors.As(err, &name):
		f.What = t.Name + " cannot be reached: its certificate is for another host"
		f.Cause = "the host part of a node's name has to be among the certificate's subject alternative names"
		f.Fix = "give the node a certificate for " + dist.Host(t.Name)
	case errors.As(err, &invalid):
		f.What = t.Name + " cannot be reached: its certificate is not valid"
		f.Cause = "it has expired, is not valid yet, or is not meant for this use"
		f.Fix = "give the node a new certificate; check the clocks of both machines"
	case errors.As(err, &remote) && remote.Op == "remote error":
		f.What = t.Name + " does not accept our certificate"
		f.Cause = "it trusts other authorities than the one that signed ours, or we have given none"
		f.Fix = "give a certificate that the cluster's authority has signed: --tls-cert FILE --tls-key FILE, or the --tls-optfile that the nodes have"
	case errors.As(err, &garbage), errors.Is(err, io.EOF): // an Erlang node waits for the rest of what looks like its beginning
		f.What = t.Name + " cannot be reached: what listens there does not speak TLS"
		f.Cause = "the node runs without -proto_dist inet_tls, or something else has the port"
		f.Fix = "leave out the --tls flags"
	default:
		f.What = t.Name + " cannot be reached: TLS fails"
		f.Cause = "its certificate, or ours, is not accepted by the other side, or only one side speaks TLS"
		f.Fix = "compare the files that it was started with (-ssl_dist_optfile) and ours: --tls-optfile, or --tls-ca, --tls-cert and --tls-key"
	}
}
