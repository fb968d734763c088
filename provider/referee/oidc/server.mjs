// oidc-provider as an authorization server for one user, with one addition: a login without a browser. It stops when its standard
// input ends.
import { createServer } from 'node:http';
import { randomBytes } from 'node:crypto';

URL.parse ??= (url) => (URL.canParse(url) ? new URL(url) : null); // which Node 20 lacks

const { Provider } = await import('oidc-provider');

const { ISSUER, CLIENT_ID, CLIENT_SECRET, TTL } = process.env;

const provider = new Provider(ISSUER, {
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['http://127.0.0.1/callback'],
      dpop_bound_access_tokens: true,
    },
  ],
  scopes: ['openid', 'offline_access'],
  features: {
    devInteractions: { enabled: false },
    revocation: { enabled: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
  },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  rotateRefreshToken: true,
  ttl: { AccessToken: Number(TTL), RefreshToken: 3600, Grant: 3600 },
});

// What a browser would bring: a refresh token of alice's.
async function login() {
  const grant = new provider.Grant({ accountId: 'alice', clientId: CLIENT_ID });
  grant.addOIDCScope('openid offline_access');
  return new provider.RefreshToken({
    accountId: 'alice',
    client: await provider.Client.find(CLIENT_ID),
    grantId: await grant.save(),
    gty: 'authorization_code',
    scope: 'openid offline_access',
  }).save();
}

const callback = provider.callback();
const server = createServer(async (req, res) => {
  if (req.url === '/login') {
    res.end(await login());
  } else {
    callback(req, res);
  }
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit(0)).resume();
