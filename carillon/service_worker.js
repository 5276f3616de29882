// Shows what is pushed, also while no page of Carillon is open.
// The payload is JSON: {id, category, title, body, url, at}.

self.addEventListener("push", (event) => {
  const told = event.data ? event.data.json() : {title: "Carillon", body: ""};
  event.waitUntil(
    self.registration.showNotification(told.title, {
      body: told.body,
      // A message that is sent again takes the place of the one that shows.
      tag: told.id,
      timestamp: told.at,
      data: {url: told.url},
    }),
  );
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const url = event.notification.data.url || "/";
  event.waitUntil(
    self.clients.matchAll({type: "window", includeUncontrolled: true}).then((windows) => {
      const open = windows.find((one) => one.url === url);
      return open ? open.focus() : self.clients.openWindow(url);
    }),
  );
});
