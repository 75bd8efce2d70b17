// Draw the API's description. Requests that are tried here go with the session, so they carry its CSRF token.
"use strict";

const place = document.getElementById("reference");

const csrfToken = () => {
  const found = document.cookie.split("; ").find((cookie) => cookie.startsWith("csrftoken="));
  return found === undefined ? "" : decodeURIComponent(found.slice("csrftoken=".length));
};

window.SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  presets: [window.SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    const ours = new URL(request.url, document.baseURI).origin === location.origin;
    if (ours && !["GET", "HEAD", undefined].includes(request.method)) request.headers["X-CSRFToken"] = csrfToken();
    return request;
  },
});
