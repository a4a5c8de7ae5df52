// Arize's published TypeScript client through its calls of role bindings and names, on the server in the
// environment: `node --input-type=module - ROLE_ID ROLE_ID < this`, in a folder with node_modules.
// It prints `passed` at its end.

import assert from "node:assert/strict";
import {
  createRoleBinding,
  deleteRoleBinding,
  getProject,
  getRoleBinding,
  getSpace,
  getUser,
  listProjects,
  listRoleBindings,
  listSpaces,
  listUsers,
  updateRoleBinding,
} from "@arizeai/ax-client";

const [first, second] = process.argv.slice(-2);
const place = { userId: "VXNlcjphZGE=", resourceType: "SPACE", resourceId: "U3BhY2U6MQ==" };

const refused = (statusCode, call) => assert.rejects(call, { statusCode });

const made = await createRoleBinding({ ...place, roleId: first });
assert.deepEqual([made.userId, made.roleId, made.resourceId], [place.userId, first, place.resourceId]);
await refused(409, createRoleBinding({ ...place, roleId: second }));
await refused(400, createRoleBinding({ ...place, roleId: first, resourceType: "PROJECT" }));

const page = await listRoleBindings({ resourceType: "SPACE", userId: place.userId, limit: 1 });
assert.deepEqual(page.data, [made]);
assert.equal(page.pagination.hasMore, false);

const bindingId = made.id;
assert.deepEqual(await getRoleBinding({ bindingId }), made);

assert.equal((await updateRoleBinding({ bindingId, roleId: second })).roleId, second);

await deleteRoleBinding({ bindingId });
await refused(404, getRoleBinding({ bindingId }));
await refused(404, deleteRoleBinding({ bindingId }));
const users = await listUsers({ email: "EXAMPLE", limit: 1 });
assert.deepEqual(users.data.map((each) => each.email), ["ada@example.com"]);
assert.equal((await getUser({ userId: users.data[0].id })).email, "ada@example.com");
const space = await getSpace({ space: "ML" });
assert.deepEqual((await listSpaces({ name: "ml" })).data, [space]);
const project = await getProject({ project: "churn", space: "ML" });
assert.equal(project.spaceId, space.id);
assert.deepEqual((await listProjects({ space: space.id })).data, [project]);
assert.deepEqual((await listProjects({ space: "ML", name: "CHURN" })).data, [project]);
console.log("passed");
